//! Reading: once, noting every mistake instead of stopping at the first.

use std::{collections::BTreeMap, fmt, path::Path};

use crate::{Fallback, Group, Spec, Value};

/// All settings share this prefix; a variable with it that nobody knows is a mistake.
const PREFIX: &str = "REALTIME_";
/// `REALTIME_JWT_SECRET_FILE` names a file that holds `REALTIME_JWT_SECRET`.
const FILE_SUFFIX: &str = "_FILE";

/// The variables of one process, and the mistakes found so far.
#[derive(Debug)]
pub struct Reader {
    variables: BTreeMap<String, String>,
    specs: BTreeMap<&'static str, Spec>,
    mistakes: Vec<String>,
}

/// Every mistake in the settings, each a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<String>);

impl Reader {
    /// Reads these variables; those without the prefix are left alone.
    pub fn new<K: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (K, V)>) -> Self {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .filter(|(name, _)| name.starts_with(PREFIX))
            .collect();
        Self { variables, specs: BTreeMap::new(), mistakes: Vec::new() }
    }

    /// Reads the environment of this process.
    pub fn from_env() -> Self {
        Self::new(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        }))
    }

    /// Sets a variable unless it is set already, as `demo` does for what it can choose by itself.
    pub fn set_default(&mut self, name: &'static str, value: impl Into<String>) {
        self.variables.entry(name.to_owned()).or_insert_with(|| value.into());
    }

    /// A variable as it is set.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Whether a variable is set, itself or by the file that holds it.
    pub fn is_set(&self, name: &str) -> bool {
        self.variables.contains_key(name) || self.variables.contains_key(&format!("{name}{FILE_SUFFIX}"))
    }

    /// The files that hold secrets, each with the variable that names it.
    pub fn secret_files(&self) -> impl Iterator<Item = (&str, &Path)> {
        let files = self.variables.iter().filter(|(name, _)| name.ends_with(FILE_SUFFIX));
        files.map(|(name, path)| (name.as_str(), Path::new(path)))
    }

    /// Reads one group; `None` after a mistake, which [`Reader::finish`] reports.
    pub fn read<G: Group>(&mut self) -> Option<G> {
        self.specs.extend(G::SPECS.iter().map(|spec| (spec.name, *spec)));
        G::read(self)
    }

    /// Notes a mistake that concerns several settings, e.g. a ping slower than the idle timeout.
    pub fn mistake(&mut self, sentence: impl Into<String>) {
        self.mistakes.push(sentence.into());
    }

    /// One value of a group that is being read. `None` after a mistake.
    pub fn value<T: Value>(&mut self, name: &'static str) -> Option<T> {
        let spec = self.specs.get(name).copied()?;
        let text = match self.text(&spec) {
            Ok(text) => text,
            Err(mistake) => {
                self.mistakes.push(mistake);
                return None;
            }
        };
        let parsed = match (&text, spec.fallback) {
            (Some(text), _) => T::parse(text),
            (None, Fallback::Default(text)) => T::parse(text),
            (None, Fallback::Optional) => T::absent().ok_or_else(|| "must be set".to_owned()),
            (None, Fallback::Required(why)) => Err(format!("must be set: {why}")),
        };
        match parsed {
            Ok(value) => Some(value),
            Err(why) => {
                // A secret is never echoed, not even a wrong one.
                let shown = match &text {
                    Some(text) if !spec.secret => format!(" (it is {text:?})"),
                    _ => String::new(),
                };
                self.mistakes.push(format!("{name} {why}{shown}"));
                None
            }
        }
    }

    fn text(&self, spec: &Spec) -> Result<Option<String>, String> {
        let direct = self.variables.get(spec.name).filter(|text| !text.is_empty()).cloned();
        let file_name = format!("{}{FILE_SUFFIX}", spec.name);
        let Some(path) = self.variables.get(&file_name).filter(|_| spec.secret) else { return Ok(direct) };
        if direct.is_some() {
            return Err(format!("{} and {file_name} are both set; keep one", spec.name));
        }
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned())),
            Err(why) => Err(format!("{file_name} names {path:?}, which can't be read: {why}")),
        }
    }

    /// Reports all mistakes: those noted, and names with our prefix that no spec in `known` has.
    pub fn finish(mut self, known: &[Spec]) -> Result<(), Mistakes> {
        let is_known = |name: &str| {
            known.iter().any(|spec| {
                spec.name == name
                    || (spec.secret && name.strip_suffix(FILE_SUFFIX).is_some_and(|stem| stem == spec.name))
            })
        };
        for name in self.variables.keys().filter(|name| !is_known(name)) {
            let nearest = known
                .iter()
                .map(|spec| (distance(spec.name, name), spec.name))
                .min()
                .filter(|(distance, _)| *distance <= 3);
            self.mistakes.push(match nearest {
                Some((_, nearest)) => format!("{name} is not a setting; did you mean {nearest}?"),
                None => format!("{name} is not a setting; `platepal-realtime settings` lists them"),
            });
        }
        if self.mistakes.is_empty() { Ok(()) } else { Err(Mistakes(self.mistakes)) }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        writeln!(f, "{count} mistake{} in the settings:", if count == 1 { "" } else { "s" })?;
        for mistake in &self.0 {
            writeln!(f, "  - {mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// Edits between two names (Levenshtein), for "did you mean".
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        let mut left = i + 1;
        for (pair, to) in row.windows(2).zip(b.chars()) {
            let [diagonal, above] = pair else { continue };
            left = (diagonal + usize::from(from != to)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{io::Write, time::Duration};

    use super::*;
    use crate::Secret;

    crate::settings! {
        /// A kettle.
        pub struct Kettle {
            /// Litres.
            litres: u32 = "REALTIME_KETTLE_LITRES", default "2";
            /// Boils for so long.
            boil: Duration = "REALTIME_KETTLE_BOIL", default "90s";
            /// Opens the lid.
            key: Secret = "REALTIME_KETTLE_KEY", required "a kettle without a key is anybody's";
        }
    }

    #[test]
    fn all_mistakes_are_reported_together_and_no_secret_is_echoed() {
        let mut reader = Reader::new([
            ("REALTIME_KETTLE_LITRES", "many"),
            ("REALTIME_KETTLE_BOIL", "soon"),
            ("REALTIME_KETTLE_LITERS", "3"),
            ("HOME", "/"),
        ]);
        assert!(reader.read::<Kettle>().is_none());
        let Mistakes(mistakes) = reader.finish(Kettle::SPECS).unwrap_err();
        assert_eq!(mistakes.len(), 4, "{mistakes:?}");
        assert!(mistakes.iter().any(|m| m.contains("did you mean REALTIME_KETTLE_LITRES?")), "{mistakes:?}");
        assert!(mistakes.iter().any(|m| m.contains("anybody's")), "{mistakes:?}");
    }

    #[test]
    fn a_secret_may_come_from_a_file_but_not_from_two_places() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "open sesame, please").unwrap();
        let path = file.path().to_str().unwrap().to_owned();

        let mut reader = Reader::new([("REALTIME_KETTLE_KEY_FILE", path.clone())]);
        let kettle = reader.read::<Kettle>().unwrap();
        assert_eq!((kettle.litres, kettle.boil), (2, Duration::from_secs(90)));
        assert_eq!(kettle.key.reveal(), "open sesame, please");
        assert_eq!(format!("{:?}", kettle.key), "Secret(…)");
        reader.finish(Kettle::SPECS).unwrap();

        let mut both = Reader::new([("REALTIME_KETTLE_KEY_FILE", path), ("REALTIME_KETTLE_KEY", "x".into())]);
        assert!(both.read::<Kettle>().is_none());
        assert!(both.finish(Kettle::SPECS).unwrap_err().0[0].contains("both set"));
    }
}
