//! What our server is to reach, and whether it does.

use super::{markdown, number};
use crate::{
    peers::Peer,
    results::{Findings, Measured, Run},
};

struct Goal {
    what: &'static str,
    unit: &'static str,
    limit: f64,
    /// At most the limit, or at least.
    at_most: bool,
    value: fn(&Findings) -> Option<f64>,
}

/// Cost at the most connections may be this much of the cost at the fewest.
const FLAT: f64 = 1.25;

const GOALS: [Goal; 10] = [
    Goal {
        what: "an idle connection, one feed for all",
        unit: "KB",
        limit: 5.0,
        at_most: true,
        value: |findings| Some(findings.idle_shared.as_ref()?.got()?.bytes_each / 1_000.0),
    },
    Goal {
        what: "an idle connection with a feed of its own",
        unit: "KB",
        limit: 5.0,
        at_most: true,
        value: |findings| Some(findings.idle_own.as_ref()?.got()?.bytes_each / 1_000.0),
    },
    Goal {
        what: "a million fan-out deliveries, a write each",
        unit: "CPU-s",
        limit: 9.0,
        at_most: true,
        value: |findings| Some(findings.fan_out.first()?.got()?.server_seconds),
    },
    Goal {
        what: "a million fan-out deliveries at the highest rate",
        unit: "CPU-s",
        limit: 9.0,
        at_most: true,
        value: |findings| Some(findings.highest.as_ref()?.got()?.cost.server_seconds),
    },
    Goal {
        what: "small deliveries",
        unit: "per second",
        limit: 900_000.0,
        at_most: false,
        value: |findings| Some(findings.highest.as_ref()?.got()?.cost.per_second),
    },
    Goal {
        what: "a million unicast deliveries, an event per call",
        unit: "CPU-s",
        limit: 45.0,
        at_most: true,
        value: |findings| Some(findings.unicast.as_ref()?.got()?.cost.server_seconds),
    },
    Goal {
        what: "a million unicast deliveries, 100 events per call",
        unit: "CPU-s",
        limit: 45.0,
        at_most: true,
        value: |findings| Some(findings.unicast_batched.as_ref()?.got()?.cost.server_seconds),
    },
    Goal {
        what: "storm: until all have what they missed",
        unit: "s",
        limit: 0.2,
        at_most: true,
        value: |findings| findings.storm.as_ref()?.got()?.recovered_seconds,
    },
    Goal {
        what: "storm: events lost",
        unit: "",
        limit: 0.0,
        at_most: true,
        value: |findings| Some(findings.storm.as_ref()?.got()?.lost as f64),
    },
    Goal {
        what: "cost at the most connections to cost at the fewest",
        unit: "times",
        limit: FLAT,
        at_most: true,
        value: |findings| {
            let costs: Vec<_> = findings.fan_out.iter().filter_map(Measured::got).collect();
            match costs.as_slice() {
                [first, .., last] => Some(last.server_seconds / first.server_seconds),
                _ => None,
            }
        },
    },
];

impl Goal {
    fn verdict(&self, value: f64) -> String {
        let is_met = if self.at_most { value <= self.limit } else { value >= self.limit };
        if self.limit == 0.0 {
            return if is_met { "met" } else { "**missed**" }.to_owned();
        }
        let distance = (value / self.limit - 1.0).abs() * 100.0;
        let side = if value < self.limit { "below" } else { "above" };
        format!("{}, {distance:.0} % {side}", if is_met { "met" } else { "**missed**" })
    }
}

/// Goals of our server; nothing if it was not measured.
pub(super) fn table(run: &Run) -> String {
    let Some(ours) = run.peers.get(&Peer::Ours).filter(|ours| ours.left_out.is_none()) else {
        return String::new();
    };
    let mut rows = vec![["PlatePal Realtime", "goal", "measured", ""].map(str::to_owned).to_vec()];
    for goal in &GOALS {
        let sign = if goal.at_most { "≤" } else { "≥" };
        let with_unit = |value: f64| format!("{} {}", number(value), goal.unit).trim().to_owned();
        let (value, verdict) = match (goal.value)(ours) {
            Some(value) => (with_unit(value), goal.verdict(value)),
            None => ("not measured".to_owned(), String::new()),
        };
        let limit = if goal.limit == 0.0 { "0".to_owned() } else { with_unit(goal.limit) };
        rows.push(vec![goal.what.to_owned(), format!("{sign} {limit}"), value, verdict]);
    }
    markdown(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_says_by_how_much() {
        let [idle, .., rate, _, _, _, lost, _] = &GOALS;
        assert_eq!(idle.verdict(4.0), "met, 20 % below");
        assert_eq!(idle.verdict(7.5), "**missed**, 50 % above");
        assert_eq!(rate.verdict(450_000.0), "**missed**, 50 % below");
        assert_eq!((lost.verdict(0.0).as_str(), lost.verdict(3.0).as_str()), ("met", "**missed**"));
    }
}
