//! `doctor`: looks at everything that a process with these settings needs, before it serves or while it does.
//!
//! Each check has a name, a time limit and one line of answer that says what to do. Checks change nothing: a
//! probe file is removed again, and nothing is created in the bus or the database.

mod bus;
mod clocks;
mod database;
mod host;
mod peers;
mod secrets;

use std::{future::Future, process::ExitCode, time::Duration};

use anstream::println;
use futures_util::future::{BoxFuture, join_all};
use owo_colors::OwoColorize;
use platepal_settings::{Mistakes, Reader};
use serde::Serialize;

use crate::{
    cli::{self, Role},
    configuration::Configuration,
};

/// How long one check may take.
const CHECK_TIME: Duration = Duration::from_secs(5);
/// How long a check waits for one answer, so that it can say whose it was.
const ANSWER_TIME: Duration = Duration::from_secs(3);

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Warn,
    Fail,
}

/// One line of the answer.
#[derive(Debug, Clone, Serialize)]
struct Finding {
    check: &'static str,
    level: Level,
    /// What is the case and, unless all is well, what to do.
    message: String,
}

impl Finding {
    fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, message: message.into() }
    }

    fn warn(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, level: Level::Warn, message: message.into() }
    }

    fn fail(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, level: Level::Fail, message: message.into() }
    }
}

/// What the checks look at.
struct Patient<'a> {
    configuration: &'a Configuration,
    roles: &'a [Role],
}

impl Patient<'_> {
    fn runs(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    fn runs_a_domain(&self) -> bool {
        platepal_events::Domain::ALL.into_iter().any(|domain| self.runs(Role::of(domain)))
    }
}

/// Examines, prints, and answers 1 when something fails.
pub(crate) async fn run(asked: &cli::Doctor) -> ExitCode {
    let roles = Role::all_if_empty(&asked.roles);
    let findings = examine(&roles).await;
    if asked.json {
        print_json(&findings)
    } else {
        print_lines(&findings)
    }
    let fails = findings.iter().any(|finding| finding.level == Level::Fail);
    if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

async fn examine(roles: &[Role]) -> Vec<Finding> {
    let mut findings = match Configuration::read(Reader::from_env(), roles) {
        Ok(_) => vec![Finding::ok("settings", "every setting is understood")],
        Err(Mistakes(mistakes)) => {
            mistakes.into_iter().map(|mistake| Finding::fail("settings", mistake)).collect()
        }
    };
    // With a mistake that concerns several settings the rest can still be looked at.
    let mut reader = Reader::from_env();
    let Some(configuration) = Configuration::gather(&mut reader) else {
        findings.push(Finding::warn("settings", "nothing else was checked: mend the settings and ask again"));
        return findings;
    };
    let patient = Patient { configuration: &configuration, roles };
    findings.extend(secrets::check(&patient, &reader));
    let checks: Vec<BoxFuture<'_, Vec<Finding>>> = vec![
        Box::pin(limited("ports", host::ports(&patient))),
        Box::pin(limited("data folder", async { host::data_folder(&patient) })),
        Box::pin(limited("open files", async { host::open_files(&patient) })),
        Box::pin(limited("bus", bus::check(&patient))),
        Box::pin(limited("database", database::check(&patient))),
        Box::pin(limited("domains", peers::domains(&patient))),
        Box::pin(limited("key set", peers::key_set(&patient))),
        Box::pin(limited("django", peers::django(&patient))),
        Box::pin(limited("collector", peers::collector(&patient))),
    ];
    findings.extend(join_all(checks).await.into_iter().flatten());
    findings
}

async fn limited(check: &'static str, work: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    tokio::time::timeout(CHECK_TIME, work).await.unwrap_or_else(|_| {
        let seconds = CHECK_TIME.as_secs();
        vec![Finding::fail(check, format!("no answer within {seconds} s; is it reachable from this host?"))]
    })
}

#[allow(clippy::print_stdout)]
fn print_lines(findings: &[Finding]) {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
    for Finding { check, level, message } in findings {
        let word = match level {
            Level::Ok => "ok  ".green().to_string(),
            Level::Warn => "warn".yellow().bold().to_string(),
            Level::Fail => "fail".red().bold().to_string(),
        };
        println!("{word}  {check:<width$}  {message}");
    }
}

#[allow(clippy::print_stdout)]
fn print_json(findings: &[Finding]) {
    let ok = findings.iter().all(|finding| finding.level != Level::Fail);
    println!("{}", serde_json::json!({ "ok": ok, "checks": findings }));
}
