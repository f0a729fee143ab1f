//! What an answer says: records of one kind at the end of a chain of CNAMEs.

use std::net::IpAddr;

use domain::base::iana::Class;
use domain::base::name::ParsedName;
use domain::base::{Rtype, ToName};
use domain::rdata::{A, Aaaa, Cname, Naptr, Srv};

use super::wire::{Asked, Domain, Reply, Unasked};
use crate::base::limits::{NAME_CNAMES, NAME_RECORDS};

/// Records of one kind.
#[derive(Debug)]
pub(super) struct Records<T> {
    pub(super) all: Vec<T>,
    /// For how many seconds they hold; none where there are none.
    pub(super) ttl: Option<u32>,
    /// There is no such name.
    pub(super) no_name: bool,
}

/// A NAPTR record (RFC 3403 §4).
#[derive(Debug)]
pub(super) struct Pointer {
    pub(super) order: u16,
    pub(super) preference: u16,
    pub(super) flags: Vec<u8>,
    pub(super) services: Vec<u8>,
    pub(super) replacement: Domain,
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    pub(super) target: Domain,
}

pub(super) fn pointers(asked: &mut impl Asked, name: &Domain) -> Result<Records<Pointer>, Unasked> {
    look(asked, name, Rtype::NAPTR, |reply, owner| {
        typed::<Naptr<_, _>, _>(reply, owner, |it| Pointer {
            order: it.order(),
            preference: it.preference(),
            flags: it.flags().as_slice().to_vec(),
            services: it.services().as_slice().to_vec(),
            replacement: it.replacement().to_vec(),
        })
    })
}

pub(super) fn servers(asked: &mut impl Asked, name: &Domain) -> Result<Records<Server>, Unasked> {
    look(asked, name, Rtype::SRV, |reply, owner| {
        typed::<Srv<_>, _>(reply, owner, |it| Server {
            priority: it.priority(),
            weight: it.weight(),
            port: it.port(),
            target: it.target().to_vec(),
        })
    })
}

pub(super) fn addresses(
    asked: &mut impl Asked,
    name: &Domain,
    v6: bool,
) -> Result<Records<IpAddr>, Unasked> {
    match v6 {
        false => look(asked, name, Rtype::A, |reply, owner| {
            typed::<A, _>(reply, owner, |it| it.addr().into())
        }),
        true => look(asked, name, Rtype::AAAA, |reply, owner| {
            typed::<Aaaa, _>(reply, owner, |it| IpAddr::V6(it.addr()).to_canonical())
        }),
    }
}

/// Records at one name, each with its TTL.
type Found<T> = Result<Vec<(T, u32)>, Unasked>;

/// Asks, and follows CNAMEs: those in the answer, and where that ends at one by asking on.
fn look<T>(
    asked: &mut impl Asked,
    name: &Domain,
    kind: Rtype,
    find: impl Fn(&Reply, &Domain) -> Found<T>,
) -> Result<Records<T>, Unasked> {
    let (mut at, mut ttl, mut cnames) = (name.clone(), u32::MAX, 0);
    loop {
        let reply = asked.ask(&at, kind)?;
        let start = at.clone();
        let found = loop {
            let found = find(&reply, &at)?;
            if !found.is_empty() {
                break found;
            }
            let Some((target, held)) = alias(&reply, &at)? else {
                break found;
            };
            cnames += 1;
            if cnames > NAME_CNAMES {
                return Err(Unasked::TooMany);
            }
            (at, ttl) = (target, ttl.min(held));
        };
        let no_name = reply.header().rcode() == domain::base::iana::Rcode::NXDOMAIN;
        if found.is_empty() && at != start && !no_name {
            continue;
        }
        let least = found.iter().map(|it| it.1).min();
        return Ok(Records {
            ttl: least.map(|it| it.min(ttl)),
            all: found.into_iter().map(|it| it.0).collect(),
            no_name,
        });
    }
}

fn typed<'r, D, T>(reply: &'r Reply, owner: &Domain, take: impl Fn(&D) -> T) -> Found<T>
where
    D: domain::base::rdata::ParseRecordData<'r, Vec<u8>> + domain::base::rdata::RecordData,
{
    let unreadable = |_| Unasked::Unreadable;
    let mut found = Vec::new();
    for record in reply.answer().map_err(unreadable)?.take(NAME_RECORDS) {
        let record = record.map_err(unreadable)?;
        if record.class() != Class::IN || !record.owner().name_eq(owner) {
            continue;
        }
        if let Some(record) = record.to_record::<D>().map_err(unreadable)? {
            found.push((take(record.data()), record.ttl().as_secs()));
        }
    }
    Ok(found)
}

/// The name that stands behind this one.
fn alias(reply: &Reply, owner: &Domain) -> Result<Option<(Domain, u32)>, Unasked> {
    let all = typed::<Cname<ParsedName<&[u8]>>, _>(reply, owner, |it| it.cname().to_vec())?;
    Ok(all.into_iter().next())
}
