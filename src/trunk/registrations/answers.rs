//! What a carrier answers to a REGISTER, and what comes of it.

use std::sync::Arc;
use std::time::Duration;

use super::super::granted;
use super::super::own::renewal;
use super::{Alarm, Output, OwnKey, Registrations, Said};
use crate::base::limits::{REGISTER_MOST_S, REGISTER_PAUSE_S};
use crate::base::time::Now;
use crate::policy::{Gruus, RegistrationState, Unanswered};
use crate::sip::again::Again;
use crate::sip::draft::Packet;
use crate::sip::header::HeaderId;
use crate::sip::message::Message;
use crate::sip::scan;

impl Registrations {
    /// The carrier's final response.
    pub(super) fn answered(
        &mut self,
        key: OwnKey,
        now: Now,
        (code, request): (u16, Option<Packet>),
        message: &Message,
        out: &mut Output<'_>,
    ) {
        match code {
            200..300 => self.granted(key, now, message, out),
            401 | 407 => self.challenged(key, now, request, message, out),
            423 => self.too_brief(key, now, message, out),
            code => {
                let later = message.first(HeaderId::RetryAfter).and_then(|it| {
                    let digits = it.split(|byte| !byte.is_ascii_digit()).next()?;
                    granted::number(digits)
                });
                let later = later.unwrap_or(0).min(REGISTER_MOST_S);
                let why = format!("the carrier answers {code}");
                let later = Duration::from_secs(later.into());
                self.failed(key, now, why, later, out);
            }
        }
    }

    fn granted(&mut self, key: OwnKey, now: Now, message: &Message, out: &mut Output<'_>) {
        let chance = self.chance();
        let Some(own) = self.owns.get_mut(key) else {
            return;
        };
        let Some(granted_s) = granted::seconds(message, &own.user, own.asks_s) else {
            let why = "the carrier's 200 does not have our Contact".to_owned();
            return self.failed(key, now, why, Duration::ZERO, out);
        };
        let granted_s = granted_s.min(REGISTER_MOST_S);
        let lasts = Duration::from_secs(granted_s.into());
        own.client = None;
        own.failures = 0;
        own.why.clear();
        own.answered.taken();
        let since = match own.account.standing.state() {
            RegistrationState::Good { since, .. } => since,
            _ => now.wall,
        };
        let before = own.account.standing.set(RegistrationState::Good {
            until: now.mono + lasts,
            since,
            contact: own.contact().into(),
            flow: own.flow,
            routes: granted::routes(message).into(),
            gruus: match own.account.gruu {
                true => granted::gruus(message, &own.user),
                false => Gruus::default(),
            },
        });
        if !matches!(before, RegistrationState::Good { .. }) {
            out.said.push(Said {
                carrier: Arc::clone(&own.name),
                lost: None,
                changed: matches!(before, RegistrationState::Lost { .. }),
            });
        }
        self.schedule(key, Alarm::Register, now, renewal(granted_s, chance));
        self.schedule(key, Alarm::End, now, lasts);
    }

    /// Answers a challenge, if it is the carrier's own, and news.
    fn challenged(
        &mut self,
        key: OwnKey,
        now: Now,
        request: Option<Packet>,
        message: &Message,
        out: &mut Output<'_>,
    ) {
        let (cnonce, branch) = (self.mint.token(), self.mint.token());
        let Some(own) = self.owns.get_mut(key) else {
            return;
        };
        let request = request.and_then(|it| scan(bytes::Bytes::from_owner(it)).ok());
        let Some(request) = request else {
            return;
        };
        let before = &mut own.answered;
        let answer = own.account.answer((&request, message), cnonce, before);
        match answer {
            Ok(credential) => {
                own.cseq = own.cseq.saturating_add(1);
                let again = Again {
                    branch,
                    cseq: own.cseq,
                    put: &[(credential.id, &credential.value)],
                };
                let packet = again.write(&mut self.scratch, &request);
                self.send(key, now, (branch, packet), out);
            }
            Err(why) => {
                // Carriers lock accounts out that try too often.
                let wait = match why {
                    Unanswered::Refused => Duration::from_secs(REGISTER_PAUSE_S.1.into()),
                    _ => Duration::ZERO,
                };
                self.failed(key, now, why.to_string(), wait, out);
            }
        }
    }

    /// The carrier wants to be asked for a longer time (RFC 3261 §10.2.8).
    fn too_brief(&mut self, key: OwnKey, now: Now, message: &Message, out: &mut Output<'_>) {
        let least = message.first(HeaderId::MinExpires);
        let least = least.and_then(granted::number);
        let Some(own) = self.owns.get_mut(key) else {
            return;
        };
        own.client = None;
        match least {
            Some(least) if least > own.asks_s && least <= REGISTER_MOST_S => {
                own.asks_s = least;
                self.begin(key, now, out);
            }
            _ => {
                let why = "the carrier takes no time that it is asked for".to_owned();
                self.failed(key, now, why, Duration::ZERO, out);
            }
        }
    }
}
