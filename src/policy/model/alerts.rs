//! `[alerts]` of the main file.

use crate::policy::diagnostic::{At, Faults, Place};
use crate::policy::reader::Fields;

/// `[alerts]`
#[derive(Debug, Default)]
pub(in crate::policy) struct AlertsTable<'t> {
    /// `[[alerts.webhook]]`
    pub webhooks: Vec<WebhookTable<'t>>,
    /// `[[alerts.syslog]]`: each `address`.
    pub syslogs: Vec<At<&'t str>>,
    /// `[[alerts.mail]]`
    pub mails: Vec<MailTable<'t>>,
}

/// One `[[alerts.webhook]]`.
#[derive(Debug)]
pub(in crate::policy) struct WebhookTable<'t> {
    /// Its heading.
    pub place: Place,
    /// `url`
    pub url: Option<At<&'t str>>,
    /// `secret_file`
    pub secret_file: Option<At<&'t str>>,
    /// `secret_env`
    pub secret_env: Option<At<&'t str>>,
    /// `ca`
    pub ca: Option<At<&'t str>>,
}

/// One `[[alerts.mail]]`.
#[derive(Debug)]
pub(in crate::policy) struct MailTable<'t> {
    /// Its heading.
    pub place: Place,
    /// `relay`
    pub relay: Option<At<&'t str>>,
    /// `tls`
    pub tls: Option<At<&'t str>>,
    /// `tls_name`
    pub tls_name: Option<At<&'t str>>,
    /// `ca`
    pub ca: Option<At<&'t str>>,
    /// `username`
    pub username: Option<At<&'t str>>,
    /// `secret_file`
    pub secret_file: Option<At<&'t str>>,
    /// `secret_env`
    pub secret_env: Option<At<&'t str>>,
    /// `from`
    pub from: Option<At<&'t str>>,
    /// `to`
    pub to: Vec<At<&'t str>>,
}

/// Reads `[alerts]`.
pub(super) fn alerts_table<'t>(mut alerts: Fields<'t>, faults: &mut Faults<'_>) -> AlertsTable<'t> {
    let webhooks = alerts.tables("webhook", "[[alerts.webhook]]", faults);
    let syslogs = alerts.tables("syslog", "[[alerts.syslog]]", faults);
    let mails = alerts.tables("mail", "[[alerts.mail]]", faults);
    let table = AlertsTable {
        webhooks: webhooks
            .into_iter()
            .map(|it| webhook_table(it, faults))
            .collect(),
        syslogs: syslogs
            .into_iter()
            .filter_map(|it| syslog_table(it, faults))
            .collect(),
        mails: mails.into_iter().map(|it| mail_table(it, faults)).collect(),
    };
    alerts.close(faults);
    table
}

fn webhook_table<'t>(mut fields: Fields<'t>, faults: &mut Faults<'_>) -> WebhookTable<'t> {
    let url = fields.text("url", faults);
    fields.required(
        "url",
        url,
        "\"https://alerts.example.net/tollgate\"",
        faults,
    );
    let table = WebhookTable {
        place: fields.place,
        url,
        secret_file: fields.text("secret_file", faults),
        secret_env: fields.text("secret_env", faults),
        ca: fields.text("ca", faults),
    };
    fields.close(faults);
    table
}

fn syslog_table<'t>(mut fields: Fields<'t>, faults: &mut Faults<'_>) -> Option<At<&'t str>> {
    let address = fields.text("address", faults);
    fields.required("address", address, "\"unix:/dev/log\"", faults);
    fields.close(faults);
    address
}

fn mail_table<'t>(mut fields: Fields<'t>, faults: &mut Faults<'_>) -> MailTable<'t> {
    let relay = fields.text("relay", faults);
    fields.required("relay", relay, "\"127.0.0.1:25\"", faults);
    let from = fields.text("from", faults);
    fields.required("from", from, "\"tollgate@example.net\"", faults);
    let table = MailTable {
        place: fields.place,
        relay,
        tls: fields.text("tls", faults),
        tls_name: fields.text("tls_name", faults),
        ca: fields.text("ca", faults),
        username: fields.text("username", faults),
        secret_file: fields.text("secret_file", faults),
        secret_env: fields.text("secret_env", faults),
        from,
        to: fields.text_or_texts("to", faults),
    };
    fields.close(faults);
    table
}
