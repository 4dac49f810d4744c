//! The domains' database.

use std::time::{Duration, Instant};

use platepal_events::{Domain, Timestamp};
use platepal_service::{Database, sql::Error as DatabaseFault};

use super::{ANSWER_TIME, Finding, Patient, clocks};
use crate::cli::Role;

/// The oldest PostgreSQL that its makers still mend.
const VERSION_MIN: i64 = 140_000;

pub(super) async fn check(patient: &Patient<'_>) -> Vec<Finding> {
    if !patient.runs_a_domain() {
        return vec![Finding::ok("database", "no domain runs here")];
    }
    let Some(url) = &patient.configuration.service.database_url else {
        return vec![Finding::ok("database", "an SQLite file per domain, in the data folder")];
    };
    let database = match Database::postgres(url.as_str(), 1, ANSWER_TIME).await {
        Ok(database) => database,
        Err(why) => return vec![Finding::fail("database", why.to_string())],
    };
    look(patient, &database).await.unwrap_or_else(|why| {
        vec![Finding::fail("database", format!("PostgreSQL does not answer our questions: {why}"))]
    })
}

async fn look(patient: &Patient<'_>, database: &Database) -> Result<Vec<Finding>, DatabaseFault> {
    let mut findings = Vec::new();
    let asked = Instant::now();
    let sql = "SELECT current_setting('server_version_num')::bigint AS version, \
               current_setting('server_version') AS name, \
               (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_micros, \
               current_setting('max_connections')::bigint AS connections, \
               has_schema_privilege(current_schema(), 'CREATE')::int::bigint AS may_create";
    let rows = database.rows(sql, &[]).await?;
    let took = asked.elapsed();
    let Some(row) = rows.first() else { return Ok(findings) };
    let name = row.text("name")?;
    findings.push(if row.int("version")? < VERSION_MIN {
        Finding::warn("database", format!("PostgreSQL {name} is no longer maintained; use 14 or later"))
    } else {
        Finding::ok("database", format!("PostgreSQL {name}"))
    });
    let theirs = Timestamp::from_micros(row.int("now_micros")?);
    findings.push(clocks::compare(patient, "PostgreSQL", theirs, took.max(Duration::from_millis(1))));
    let wanted = i64::from(patient.configuration.service.database_connections);
    let most = row.int("connections")?;
    if wanted.saturating_mul(2) > most {
        let message = format!(
            "REALTIME_DATABASE_CONNECTIONS is {wanted} per domain and process, PostgreSQL allows {most} in all; lower \
             the one or raise the other"
        );
        findings.push(Finding::warn("database", message));
    }
    let may_create = row.int("may_create")? == 1;
    for domain in Domain::ALL.into_iter().filter(|domain| patient.runs(Role::of(*domain))) {
        findings.push(migrations(database, domain, may_create).await?);
    }
    Ok(findings)
}

async fn migrations(database: &Database, domain: Domain, may_create: bool) -> Result<Finding, DatabaseFault> {
    let word = domain.word();
    let table = format!("{word}_migrations");
    let sql = "SELECT (to_regclass($1) IS NOT NULL)::int::bigint AS has";
    let has = database.rows(sql, &[table.as_str().into()]).await?;
    if has.first().is_none_or(|row| row.int("has").is_ok_and(|has| has == 0)) {
        return Ok(if may_create {
            Finding::ok("database", format!("the tables of {word} are made at the first start"))
        } else {
            let advice = "GRANT CREATE ON SCHEMA to the user of REALTIME_DATABASE_URL";
            Finding::fail(
                "database",
                format!("{word} has no tables, and this user may not make them; {advice}"),
            )
        });
    }
    let sql = format!("SELECT count(*) AS done, count(*) FILTER (WHERE NOT success) AS broken FROM {table}");
    let rows = database.rows(&sql, &[]).await?;
    let Some(row) = rows.first() else {
        return Ok(Finding::warn("database", format!("{table} can't be read")));
    };
    Ok(match row.int("broken")? {
        0 => Finding::ok("database", format!("{word}: {} migrations done", row.int("done")?)),
        broken => {
            let advice = format!("look into {table}, mend the tables by hand or restore a backup");
            Finding::fail("database", format!("{word}: {broken} migrations broke off; {advice}"))
        }
    })
}
