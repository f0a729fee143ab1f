//! A carrier's challenge, and the answer to it.

use std::fmt;

use crate::base::limits::CHALLENGES_IN_A_ROW;
use crate::base::token::{Token, keyed128};
use crate::sip::digest::{self, Answer, Asked, Challenge};
use crate::sip::header::HeaderId;
use crate::sip::message::Message;

use super::registration::Registration;

/// What was answered last to one who challenges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answered {
    /// A hash of the nonce.
    nonce: u128,
    /// How often it was answered.
    count: u32,
    /// How many challenges were answered one behind the other.
    in_a_row: u8,
}

impl Answered {
    /// An answer was taken.
    pub(crate) fn taken(&mut self) {
        self.in_a_row = 0;
    }
}

/// The field with which a request is sent once more.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    /// Authorization, or Proxy-Authorization.
    pub(crate) id: HeaderId,
    /// Its value.
    pub(crate) value: Vec<u8>,
}

/// Why a challenge is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// There is none that can be read.
    None,
    /// It is of another realm, or the password is not known.
    Realm,
    /// It asks for an algorithm or a protection that is not known here.
    Algorithm,
    /// It was answered, and asks again.
    Refused,
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "the carrier asks for credentials, but not with a digest challenge",
            Self::Realm => {
                "the carrier asks for credentials of another realm than the configured one"
            }
            Self::Algorithm => "the carrier asks for an algorithm that is not known",
            Self::Refused => "the carrier does not take the username and the password",
        })
    }
}

impl Registration {
    /// Answers the 401 or 407 that a request of ours got. Whether it came from this
    /// carrier is for the caller to have seen.
    ///
    /// # Errors
    /// Why it is not answered: then the response is the last word.
    pub(crate) fn answer(
        &self,
        (request, response): (&Message, &Message),
        cnonce: Token,
        before: &mut Answered,
    ) -> Result<Credential, Unanswered> {
        let (asks, says) = match response.status() {
            Some(401) => (HeaderId::WwwAuthenticate, HeaderId::Authorization),
            Some(407) => (HeaderId::ProxyAuthenticate, HeaderId::ProxyAuthorization),
            _ => return Err(Unanswered::None),
        };
        let (challenge, account) = self.first_answerable(response, asks)?;
        let mut said = request.all(says).filter_map(digest::answered);
        let said = said.find(|(realm, _)| *realm == challenge.realm);
        // RFC 7616 §3.3: a new nonce for the old one was right with a `stale` alone.
        let again = said.is_some_and(|(_, nonce)| !challenge.stale || nonce == challenge.nonce);
        if again || before.in_a_row >= CHALLENGES_IN_A_ROW {
            return Err(Unanswered::Refused);
        }
        let nonce = keyed128(0, &[challenge.nonce]);
        let count = match before.nonce == nonce {
            true => before.count.saturating_add(1),
            false => 1,
        };
        let answer = Answer {
            challenge: &challenge,
            cnonce: &cnonce.text(),
            count,
        };
        let asked = Asked {
            method: request.method_text(),
            uri: request.uri().unwrap_or_default(),
        };
        let value = answer.write(&account, &asked);
        let value = value.ok_or(Unanswered::Algorithm)?;
        *before = Answered {
            nonce,
            count,
            in_a_row: before.in_a_row.saturating_add(1),
        };
        Ok(Credential { id: says, value })
    }

    /// RFC 8760 §2.4: the first that can be answered.
    fn first_answerable<'m>(
        &self,
        response: &'m Message,
        asks: HeaderId,
    ) -> Result<(Challenge<'m>, digest::Account<'_>), Unanswered> {
        let mut why = Unanswered::None;
        for value in response.all(asks) {
            let Ok(Some(challenge)) = Challenge::parse(value) else {
                continue;
            };
            match self.account(&challenge) {
                Some(account) if challenge.answerable().is_some() => {
                    return Ok((challenge, account));
                }
                Some(_) => why = Unanswered::Algorithm,
                None => why = Unanswered::Realm,
            }
        }
        Err(why)
    }
}
