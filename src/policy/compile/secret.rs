//! Where a secret is that the rules name.

use crate::policy::alerting::SecretIn;
use crate::policy::diagnostic::{At, Fault, Faults, Place};

/// In a file or in the environment, and in one place: `what` it is, and what it means
/// that there is none.
pub(super) fn secret(
    (file, env): (Option<At<&str>>, Option<At<&str>>),
    what: &str,
    (missing, place): (Fault, Place),
    faults: &mut Faults<'_>,
) -> Option<SecretIn> {
    match (file, env) {
        (Some(file), None) => Some(SecretIn::File(file.value.to_owned())),
        (None, Some(env)) => Some(SecretIn::Env(env.value.to_owned())),
        (None, None) => {
            faults.add(place, missing);
            None
        }
        (Some(_), Some(env)) => {
            let fault = Fault::error(format!("the {what} is in two places"));
            faults.add(env.place, fault.help("leave out secret_file or secret_env"));
            None
        }
    }
}
