//! A folder with a configuration in it, and the program run there.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const MAIN: &str = r#"
[[listen]]
address = "udp:127.0.0.1:5060"

[[carrier]]
name          = "metro"
address       = "udp:127.0.0.2:5070"
sources       = ["127.0.0.2/32"]
number_format = "e164"

[policies]
directory = "rules"

[ledger]
directory = "ledger"
"#;

const PLAN: &str = r#"
name    = "jp"
country = "jp"

[before]
withhold_caller = ["184"]
show_caller     = ["186"]
carrier_codes   = []

[international]
prefixes = ["010", "+"]

[national]
prefix = "0"

[emergency]
numbers = ["110", "118", "119"]

[emergency.urn]
"sos" = "110"
"#;

const TENANT: &str = r#"
name      = "kiku"
plan      = "jp"
time_zone = "Asia/Tokyo"
mode      = "enforce"
carriers  = ["metro"]

[identify]
sources = ["127.0.0.9/32"]

[callers]
own       = ["+81335570000..+81335570019"]
otherwise = "replace"
default   = "+81335570000"

[destinations]
allow = ["jp.fixed", "jp.mobile"]

[caps]
calls_at_once  = 3
calls_per_hour = 60
longest_call   = "1h"
"#;

/// A folder with a good configuration in it, gone when the test ends.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tollgate-cli-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        for below in ["rules/tenants", "rules/plans"] {
            std::fs::create_dir_all(path.join(below)).unwrap();
        }
        let files = Self { path };
        files.write("tollgate.toml", MAIN);
        files.write("rules/plans/jp.toml", PLAN);
        files.write("rules/tenants/kiku.toml", TENANT);
        files
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn replace(&self, name: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from));
        self.write(name, &text.replace(from, to));
    }

    /// Runs in the folder, as one does.
    pub fn tollgate(&self, arguments: &[&str]) -> Said {
        self.tollgate_with(arguments, &[])
    }

    /// With this in its environment.
    pub fn tollgate_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Said {
        let output = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir(&self.path)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Said::from(output)
    }

    pub fn check(&self) -> Said {
        self.tollgate(&["check", "-c", "tollgate.toml"])
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

#[derive(Debug)]
pub struct Said {
    pub out: String,
    pub err: String,
    pub code: Option<i32>,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code(),
        }
    }
}

impl Said {
    /// A fault in one line that names `what`.
    #[track_caller]
    pub fn is_one_line(&self, what: &str) {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert!(self.err.contains(what), "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        assert_eq!(self.out, "");
    }
}
