//! Random appends and reads against the simplest model: a list per channel.

use std::collections::BTreeMap;

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngSeed, TestRunner},
};

use super::*;

const RETAINED: usize = 8;

#[derive(Debug, Clone)]
enum Step {
    Append { channels: Vec<usize>, id: u32 },
    Read { channel: usize, after: usize, limit: usize },
    Find { channel: usize, id: u32 },
}

#[derive(Debug, Default)]
struct Model {
    /// Everything ever appended: id and offset.
    kept: BTreeMap<usize, Vec<(u32, u64)>>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (proptest::collection::btree_set(0..3usize, 1..3), 0..60u32)
            .prop_map(|(channels, id)| Step::Append { channels: channels.into_iter().collect(), id }),
        2 => (0..3usize, 0..30usize, 1..12usize)
            .prop_map(|(channel, after, limit)| Step::Read { channel, after, limit }),
        1 => (0..3usize, 0..60u32).prop_map(|(channel, id)| Step::Find { channel, id }),
    ];
    proptest::collection::vec(step, 1..80)
}

pub async fn any_sequence_of_appends_and_reads_agrees_with_a_list(house: &impl House) {
    let seed = platepal_testkit::seed();
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(seed), ..Config::default() });
    let bus = house.open(&[("REALTIME_BUS_RETENTION_EVENTS", &RETAINED.to_string())]).await;
    for case in 0..20 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let name = |n: usize| channel(&format!("order:{case}-{n}"));
        let mut model = Model::default();
        for step in &steps {
            run(&*bus, &mut model, step, name, house.tells_from_zero()).await;
        }
    }
}

async fn run(
    bus: &dyn Bus,
    model: &mut Model,
    step: &Step,
    name: impl Fn(usize) -> Channel,
    tells_from_zero: bool,
) {
    match step {
        Step::Append { channels, id } => {
            let names: Vec<Channel> = channels.iter().map(|n| name(*n)).collect();
            let appended = bus.append(&names, &event(&id.to_string())).await.unwrap();
            for (n, appended) in channels.iter().zip(appended) {
                let kept = model.kept.entry(*n).or_default();
                let known = kept.iter().find(|(known, _)| known == id).map(|(_, offset)| *offset);
                assert_eq!(appended.duplicate, known.is_some());
                match known {
                    Some(offset) => assert_eq!(appended.position.offset, offset),
                    None => kept.push((*id, appended.position.offset)),
                }
            }
        }
        Step::Read { channel, after, limit } => {
            let kept = model.kept.entry(*channel).or_default();
            let gone = kept.len().saturating_sub(RETAINED);
            let after = (*after).min(kept.len());
            let offset = after.checked_sub(1).map_or(0, |index| kept[index].1);
            let page = bus.read(&name(*channel), offset, *limit).await.unwrap();
            let expected: Vec<(u32, u64)> = kept.iter().skip(after.max(gone)).take(*limit).copied().collect();
            let got: Vec<(u32, u64)> = page
                .entries
                .iter()
                .map(|entry| (entry.event.id.as_str().parse().unwrap(), entry.position.offset))
                .collect();
            assert_eq!(got, expected);
            if let Some((_, newest)) = kept.last() {
                assert_eq!(page.head.offset, *newest);
            }
            // An engine may be unable to tell when exactly the event asked for is gone, or none was asked for.
            if after > gone || (gone == 0 && tells_from_zero) {
                assert!(page.complete, "nothing is missing after {after} of {kept:?}");
            }
            if after < gone {
                assert!(!page.complete, "{gone} are gone, asked after {after}");
            }
        }
        Step::Find { channel, id } => {
            let kept = model.kept.entry(*channel).or_default();
            let gone = kept.len().saturating_sub(RETAINED);
            let expected = kept.iter().skip(gone).find(|(known, _)| known == id).map(|(_, offset)| *offset);
            let found = bus.find(&name(*channel), &id.to_string().parse().unwrap()).await.unwrap();
            assert_eq!(found, expected);
        }
    }
}
