//! This host: ports, the data folder, open files.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    path::Path,
    time::Duration,
};

use platepal_proto::v1::{self, events_service_client::EventsServiceClient};
use platepal_settings::ByteSize;
use rustix::process::Resource;
use tonic::{Code, transport::Endpoint};

use super::{Finding, Patient};
use crate::cli::Role;

/// Below this much free space the embedded log is about to fail.
const FREE_BYTES_MIN: u64 = 256 << 20;
/// Below this much it is time to look.
const FREE_BYTES_LOW: u64 = 2 << 30;
/// Files that a process has open apart from its clients' connections.
const OTHER_FILES: u64 = 512;
/// How long a program on a port of ours is asked who it is.
const ASK_TIME: Duration = Duration::from_secs(1);

/// Whether the ports are free, or a running tier has them.
pub(super) async fn ports(patient: &Patient<'_>) -> Vec<Finding> {
    let configuration = patient.configuration;
    let mut addresses = vec![
        ("REALTIME_GRPC_ADDR", configuration.service.grpc_addr),
        ("REALTIME_ADMIN_ADDR", configuration.service.admin_addr),
    ];
    if patient.runs(Role::Edge) {
        addresses.push(("REALTIME_HTTP_ADDR", configuration.edge.http_addr));
    }
    let mut findings = Vec::new();
    for (setting, address) in addresses {
        findings.push(match TcpListener::bind(address) {
            Ok(_) => Finding::ok("ports", format!("{address} is free ({setting})")),
            Err(why) if why.kind() == io::ErrorKind::AddrInUse => {
                if is_ours(setting, address).await {
                    Finding::ok("ports", format!("{address} is served by a running tier ({setting})"))
                } else {
                    let message = format!("another program has {address}; stop it or change {setting}");
                    Finding::fail("ports", message)
                }
            }
            Err(why) if why.kind() == io::ErrorKind::PermissionDenied => {
                let advice =
                    "ports below 1024 need CAP_NET_BIND_SERVICE; choose another, or let a proxy have it";
                Finding::fail("ports", format!("{setting} {address}: {why}; {advice}"))
            }
            Err(why) => {
                Finding::fail("ports", format!("{setting} {address}: {why}; is it an address of this host?"))
            }
        });
    }
    findings
}

/// Asks whoever listens in a way that only ours answers so.
async fn is_ours(setting: &str, address: SocketAddr) -> bool {
    let Ok(client) = super::peers::client(ASK_TIME) else { return false };
    match setting {
        "REALTIME_ADMIN_ADDR" => {
            let Ok(answer) = client.get(format!("http://{address}/healthz")).send().await else {
                return false;
            };
            answer.text().await.is_ok_and(|text| text == "ok\n")
        }
        "REALTIME_HTTP_ADDR" => {
            let answer = client.get(format!("http://{address}/ws/customer/1")).send().await;
            answer.is_ok_and(|answer| answer.status().as_u16() == 426)
        }
        _ => {
            let Ok(endpoint) = Endpoint::from_shared(format!("http://{address}")) else { return false };
            let mut events = EventsServiceClient::new(endpoint.timeout(ASK_TIME).connect_lazy());
            // Without a channel and maybe without a key: a refusal of either kind is ours, and a domain alone does
            // not know the service.
            let answer = events.read(v1::ReadRequest::default()).await;
            let code = answer.err().map(|status| status.code());
            matches!(code, Some(Code::InvalidArgument | Code::Unauthenticated | Code::Unimplemented))
        }
    }
}

/// Whether the data folder can be used; `nothing` when nobody needs it.
pub(super) fn data_folder(patient: &Patient<'_>) -> Vec<Finding> {
    let configuration = patient.configuration;
    let for_bus = configuration.bus.nats_url.is_none();
    let for_store = configuration.service.database_url.is_none() && patient.runs_a_domain();
    if !for_bus && !for_store {
        return vec![Finding::ok("data folder", "not needed: NATS and PostgreSQL hold everything")];
    }
    let folder = &configuration.service.data_dir;
    // It is made at the start; until then its nearest parent says whether that will work.
    let Some(existing) = std::iter::successors(Some(folder.as_path()), |path| path.parent())
        .map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path })
        .find(|path| path.exists())
    else {
        return vec![Finding::fail("data folder", format!("{} has no parent that exists", folder.display()))];
    };
    let shown = existing.display();
    let probe = existing.join(format!(".platepal-doctor-{}", std::process::id()));
    if let Err(why) = fs::write(&probe, b"probe").and_then(|()| fs::remove_file(&probe)) {
        let message =
            format!("{shown} can't be written: {why}; make it this user's, or change REALTIME_DATA_DIR");
        return vec![Finding::fail("data folder", message)];
    }
    let mut findings = Vec::new();
    match rustix::fs::statvfs(existing) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let message = format!("{shown} can be written, {} free", size(free));
            findings.push(if free < FREE_BYTES_MIN {
                Finding::fail("data folder", format!("{message}; make room, or appends will fail soon"))
            } else if free < FREE_BYTES_LOW {
                Finding::warn("data folder", format!("{message}; that is little for the embedded log"))
            } else {
                Finding::ok("data folder", message)
            });
        }
        Err(why) => {
            findings.push(Finding::warn("data folder", format!("{shown}: free space is unknown: {why}")))
        }
    }
    if for_bus && patient.runs(Role::Edge) && patient.configuration.edge.http_addr.ip().is_unspecified() {
        let message =
            "the bus is embedded: one process only, and no second edge; set REALTIME_NATS_URL for more";
        findings.push(Finding::warn("data folder", message));
    }
    findings
}

fn size(bytes: u64) -> String {
    let ByteSize(gib) = ByteSize(1 << 30);
    format!("{:.1} GiB", bytes as f64 / gib as f64)
}

/// Whether as many files may be open as there may be connections.
pub(super) fn open_files(patient: &Patient<'_>) -> Vec<Finding> {
    if !patient.runs(Role::Edge) {
        return vec![Finding::ok("open files", "no edge runs here")];
    }
    let connections = patient.configuration.edge.connections_max as u64;
    let needed = connections.saturating_add(OTHER_FILES);
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let Some(soft) = limit.current else {
        return vec![Finding::ok("open files", "no limit")];
    };
    if soft >= needed {
        let message = format!("{soft} may be open, for {connections} connections");
        return vec![Finding::ok("open files", message)];
    }
    let advice = "raise it (`ulimit -n`, LimitNOFILE= in systemd, ulimits: in compose), or lower REALTIME_EDGE_CONNECTIONS_MAX";
    let message = format!("{soft} may be open, {needed} are needed for {connections} connections; {advice}");
    vec![Finding::fail("open files", message)]
}
