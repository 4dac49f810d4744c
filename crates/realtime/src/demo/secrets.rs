//! The secrets that a demo generates, so that `token`, `publish` and `tail` find them too.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::Context;
use platepal_settings::Reader;
use rand::{Rng, distr::Alphanumeric};

/// The demo's data folder, relative to where it is started.
pub(crate) const FOLDER: &str = "data/demo";
/// Characters of a generated secret: more than 256 bits.
const SECRET_CHARS: usize = 48;
/// Each secret's setting, and its file in the folder.
const SECRETS: [(&str, &str); 3] = [
    ("REALTIME_JWT_SECRET", "jwt-secret"),
    ("REALTIME_API_KEYS", "api-key"),
    ("REALTIME_CONSOLE_PASSWORD", "console-password"),
];

/// Makes the secrets that are not there yet and gives them to the reader, unless the environment has its own.
pub(crate) fn make_and_offer(reader: &mut Reader) -> anyhow::Result<()> {
    fs::create_dir_all(FOLDER).with_context(|| format!("can't make the folder {FOLDER}"))?;
    for (_, file) in SECRETS {
        let path = Path::new(FOLDER).join(file);
        let secret: String =
            rand::rng().sample_iter(Alphanumeric).take(SECRET_CHARS).map(char::from).collect();
        match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut new) => new.write_all(secret.as_bytes())?,
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {}
            Err(why) => return Err(why).with_context(|| format!("can't write {}", path.display())),
        }
    }
    offer(reader);
    Ok(())
}

/// What a demo has made here.
pub(crate) fn made_here() -> Vec<String> {
    SECRETS.iter().filter_map(|(_, file)| fs::read_to_string(Path::new(FOLDER).join(file)).ok()).collect()
}

/// Gives the reader what a demo has made here, unless the environment has its own.
pub(crate) fn offer(reader: &mut Reader) {
    for (setting, file) in SECRETS {
        if let Ok(secret) = fs::read_to_string(Path::new(FOLDER).join(file))
            && !reader.is_set(setting)
        {
            reader.set_default(setting, secret);
        }
    }
}
