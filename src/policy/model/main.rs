//! `tollgate.toml`: the box itself.

use crate::policy::diagnostic::{At, Fault, Faults, Place};
use crate::policy::reader::Fields;

use super::alerts::{AlertsTable, alerts_table};
use super::bans::BansTable;
use super::registration::RegistrationTable;
use super::tls::TlsTable;

/// The main file.
#[derive(Debug, Default)]
pub(in crate::policy) struct MainFile<'t> {
    /// `[[listen]]`
    pub listen: Vec<ListenTable<'t>>,
    /// `[[carrier]]`
    pub carriers: Vec<CarrierTable<'t>>,
    /// `policies.directory`
    pub policies: Option<At<&'t str>>,
    /// `ledger.directory`
    pub ledger: Option<At<&'t str>>,
    /// `ledger.durability` is "disk".
    pub to_disk: bool,
    /// `ledger.segment_megabytes`
    pub segment_megabytes: Option<At<u64>>,
    /// `ledger.keep_days`
    pub keep_days: Option<At<u64>>,
    /// `ledger.keep_gigabytes`
    pub keep_gigabytes: Option<At<u64>>,
    /// `admin.address`
    pub admin: Option<At<&'t str>>,
    /// `admin.socket`
    pub socket: Option<At<&'t str>>,
    /// `[alerts]`
    pub alerts: Option<AlertsTable<'t>>,
    /// `[bans]`
    pub bans: Option<BansTable<'t>>,
    /// `[resolver]`
    pub resolver: Option<ResolverTable<'t>>,
    /// `run.shards`
    pub shards: Option<At<u64>>,
    /// `run.stop_after`
    pub stop_after: Option<At<&'t str>>,
}

/// `[resolver]`
#[derive(Debug)]
pub(in crate::policy) struct ResolverTable<'t> {
    /// `servers`
    pub servers: Vec<At<&'t str>>,
    /// `timeout`
    pub timeout: Option<At<&'t str>>,
}

/// One `[[listen]]`.
#[derive(Debug)]
pub(in crate::policy) struct ListenTable<'t> {
    /// Its heading.
    pub place: Place,
    /// `address`: "udp:127.0.0.1:5060"
    pub address: Option<At<&'t str>>,
    /// `advertise`: the address that others reach it at.
    pub advertise: Option<At<&'t str>>,
    /// `challenge`
    pub challenge: Option<At<bool>>,
    /// `algorithms`
    pub algorithms: Vec<At<&'t str>>,
    /// `certificate` and the like
    pub tls: TlsTable<'t>,
}

/// One `[[carrier]]`.
#[derive(Debug)]
pub(in crate::policy) struct CarrierTable<'t> {
    /// `name`
    pub name: Option<At<&'t str>>,
    /// `address`
    pub address: Option<At<&'t str>>,
    /// `sources`
    pub sources: Vec<At<&'t str>>,
    /// `tls_names`
    pub tls_names: Vec<At<&'t str>>,
    /// `number_format`
    pub number_format: Option<At<&'t str>>,
    /// `user_phone`
    pub user_phone: Option<At<bool>>,
    /// `listener`: the address of the listener it is called from.
    pub listener: Option<At<&'t str>>,
    /// `large_over_tcp`
    pub large_over_tcp: Option<At<bool>>,
    /// `[carrier.registration]`
    pub registration: Option<RegistrationTable<'t>>,
    /// `calls_at_once`
    pub calls_at_once: Option<At<u64>>,
    /// `probe`: the time from one probe to the next.
    pub probe: Option<At<&'t str>>,
    /// `tls_name` and the like
    pub tls: TlsTable<'t>,
}

/// Reads the main file.
pub(in crate::policy) fn main_file<'t>(
    mut root: Fields<'t>,
    faults: &mut Faults<'_>,
) -> MainFile<'t> {
    let listen = root.tables("listen", "[[listen]]", faults);
    let carriers = root.tables("carrier", "[[carrier]]", faults);
    let mut file = MainFile {
        listen: listen
            .into_iter()
            .map(|it| listen_table(it, faults))
            .collect(),
        carriers: carriers
            .into_iter()
            .map(|it| carrier_table(it, faults))
            .collect(),
        ..MainFile::default()
    };
    if let Some(mut policies) = root.table("policies", "[policies]", faults) {
        file.policies = policies.text("directory", faults);
        policies.close(faults);
    }
    if let Some(mut ledger) = root.table("ledger", "[ledger]", faults) {
        file.ledger = ledger.text("directory", faults);
        file.segment_megabytes = ledger.count("segment_megabytes", faults);
        file.keep_days = ledger.count("keep_days", faults);
        file.keep_gigabytes = ledger.count("keep_gigabytes", faults);
        if let Some(durability) = ledger.text("durability", faults) {
            file.to_disk = is_disk(durability, faults);
        }
        ledger.close(faults);
    }
    if let Some(mut admin) = root.table("admin", "[admin]", faults) {
        file.admin = admin.text("address", faults);
        file.socket = admin.text("socket", faults);
        admin.close(faults);
    }
    if let Some(alerts) = root.table("alerts", "[alerts]", faults) {
        file.alerts = Some(alerts_table(alerts, faults));
    }
    if let Some(bans) = root.table("bans", "[bans]", faults) {
        file.bans = Some(BansTable::of(bans, faults));
    }
    if let Some(mut resolver) = root.table("resolver", "[resolver]", faults) {
        file.resolver = Some(ResolverTable {
            servers: resolver.texts("servers", faults),
            timeout: resolver.text("timeout", faults),
        });
        resolver.close(faults);
    }
    if let Some(mut run) = root.table("run", "[run]", faults) {
        file.shards = run.count("shards", faults);
        file.stop_after = run.text("stop_after", faults);
        run.close(faults);
    }
    root.close(faults);
    file
}

fn listen_table<'t>(mut fields: Fields<'t>, faults: &mut Faults<'_>) -> ListenTable<'t> {
    let address = fields.text("address", faults);
    fields.required("address", address, "\"udp:127.0.0.1:5060\"", faults);
    let table = ListenTable {
        place: fields.place,
        address,
        advertise: fields.text("advertise", faults),
        challenge: fields.flag("challenge", faults),
        algorithms: fields.texts("algorithms", faults),
        tls: TlsTable::server(&mut fields, faults),
    };
    fields.close(faults);
    table
}

fn carrier_table<'t>(mut fields: Fields<'t>, faults: &mut Faults<'_>) -> CarrierTable<'t> {
    let name = fields.text("name", faults);
    fields.required("name", name, "\"upstream\"", faults);
    let address = fields.text("address", faults);
    fields.required("address", address, "\"udp:192.0.2.1:5060\"", faults);
    let registration = fields.table("registration", "[carrier.registration]", faults);
    let table = CarrierTable {
        name,
        address,
        sources: fields.texts("sources", faults),
        tls_names: fields.texts("tls_names", faults),
        number_format: fields.text("number_format", faults),
        user_phone: fields.flag("user_phone", faults),
        listener: fields.text("listener", faults),
        large_over_tcp: fields.flag("large_over_tcp", faults),
        registration: registration.map(|it| RegistrationTable::of(it, faults)),
        calls_at_once: fields.count("calls_at_once", faults),
        probe: fields.text("probe", faults),
        tls: TlsTable::client(&mut fields, faults),
    };
    fields.close(faults);
    table
}

/// `durability` says when a record counts as written: whether on the disk only.
fn is_disk(durability: At<&str>, faults: &mut Faults<'_>) -> bool {
    match durability.value {
        "process" => false,
        "disk" => true,
        other => {
            let fault = Fault::error(format!("`{other}` is no durability"));
            faults.add(
                durability.place,
                fault.help("write \"process\" or \"disk\""),
            );
            false
        }
    }
}
