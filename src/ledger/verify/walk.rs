//! One shard's segments, compared with what was signed of them.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::time::{Now, Wall};
use crate::record::Record;
use crate::record::frame::Damage;

use super::super::chain::chained;
use super::super::checkpoint::{Head, Link};
use super::super::late::{self, Lapse, Stretch, USUAL};
use super::super::segment::{self, Header};
use super::super::{Content, Found, Place, Sink};
use super::{Finding, Remark, Report, Wrong};

/// By how much a record's time may lie before the one before it: shards take their
/// time once for each turn.
const STEP: Duration = Duration::from_secs(1);

/// A place at which the head is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Anchor {
    /// The segment, and the byte in it.
    pub(super) at: (u64, u64),
    /// Records before it.
    pub(super) count: u64,
    pub(super) head: Head,
    /// Whose checkpoint it is of.
    pub(super) number: u64,
    /// When that was signed.
    pub(super) wall: Wall,
}

/// Why a stretch between two anchors is not proved.
#[derive(Clone, Copy, Debug)]
enum Broken {
    /// It is not what this checkpoint has signed.
    Signed(u64),
    /// This checkpoint has the next head, and those before it, from the second number on,
    /// are not there.
    Unproved(u64, u64),
}

/// Goes through one shard's segments.
pub(super) struct Walk {
    folder: PathBuf,
    shard: u16,
    series: [u8; 16],
    /// The oldest segment that there must be.
    oldest: Option<u64>,
    /// What is still to come.
    anchors: VecDeque<Anchor>,
    /// Of the last anchor met; 0 before the first.
    number: u64,
    /// From the last anchor to here; None where it cannot be known until the next.
    link: Option<Link>,
    /// The last place where the head was as signed.
    sound: (u64, u64),
    /// From there to here it is not, or nobody can tell.
    broken: Option<((u64, u64), Broken)>,
    /// What was found of a record cut short, which may be the journal's end.
    torn: Option<Place>,
    begun: bool,
    at: Place,
    records: u64,
    /// Records since the last anchor.
    since: u64,
    wall: Option<Wall>,
    steps: u64,
    first_step: Option<(Place, Wall, Wall)>,
    findings: Vec<Finding>,
    /// What was signed late, of the life that is gone through.
    stretch: Option<Stretch>,
    late: Vec<Finding>,
    /// How many lives ended with something unsigned, and the first place.
    cut_off: u64,
    first_cut: Option<Stretch>,
    /// Gaps among that.
    gaps: Vec<Remark>,
}

impl Walk {
    pub(super) fn new(
        directory: &std::path::Path,
        shard: u16,
        series: [u8; 16],
        oldest: Option<u64>,
        mut anchors: Vec<Anchor>,
    ) -> Self {
        anchors.sort_by_key(|it| (it.at, it.number));
        Self {
            folder: segment::folder(directory, shard),
            shard,
            series,
            oldest,
            anchors: anchors.into(),
            number: 0,
            link: None,
            sound: (0, 0),
            broken: None,
            torn: None,
            begun: false,
            at: Place::default(),
            records: 0,
            since: 0,
            wall: None,
            steps: 0,
            first_step: None,
            findings: Vec::new(),
            stretch: None,
            late: Vec::new(),
            cut_off: 0,
            first_cut: None,
            gaps: Vec::new(),
        }
    }

    /// The first thing that there is.
    fn begin(&mut self, place: Place) {
        self.begun = true;
        self.sound = (place.segment, 0);
        let oldest = self.oldest.unwrap_or(1);
        if place.segment > oldest {
            let what = Wrong::SegmentsMissing(place.segment - oldest);
            self.find((oldest, 0), (place.segment, 0), what);
        }
    }

    /// Looks at the anchors up to here.
    fn compare(&mut self, at: (u64, u64)) {
        while let Some(anchor) = self.anchors.pop_front_if(|it| it.at <= at) {
            let before = std::mem::replace(&mut self.number, anchor.number);
            if !self.begun || anchor.at < self.sound {
                // Of what was retired.
                continue;
            }
            let begins = self.link.is_none() && anchor.at == self.sound;
            let link = self.link.as_mut().filter(|_| anchor.at == at);
            let here = link.map(Link::head);
            self.since = 0;
            self.link = (anchor.at == at).then(|| Link::from(anchor.head));
            if here == Some(anchor.head) {
                self.close();
                self.sound = anchor.at;
            } else if !begins {
                // A checkpoint in between would have begun another link.
                let first = before.saturating_add(1);
                let why = match anchor.number > first {
                    true if self.broken.is_none() => Broken::Unproved(anchor.number, first),
                    _ => Broken::Signed(anchor.number),
                };
                self.broken = Some((anchor.at, why));
            }
        }
    }

    /// Says what was broken up to here.
    fn close(&mut self) {
        let Some((to, why)) = self.broken.take() else {
            return;
        };
        let what = match why {
            Broken::Signed(number) => Wrong::NotAsSigned(number),
            Broken::Unproved(number, from) => Wrong::Unproved {
                from,
                to: number.saturating_sub(1),
            },
        };
        self.find(self.sound, to, what);
    }

    fn find(&mut self, from: (u64, u64), to: (u64, u64), what: Wrong) {
        let finding = self.finding(from, to, what);
        self.findings.push(finding);
    }

    fn finding(&self, from: (u64, u64), to: (u64, u64), what: Wrong) -> Finding {
        let path = |sequence| segment::path(&self.folder, sequence);
        Finding {
            file: path(from.0),
            from: from.1,
            to: Some((path(to.0), to.1)),
            what,
        }
    }

    fn check_header(&mut self, found: &Found<'_>) {
        let (from, to) = (spot(found.place), spot(found.after));
        match Header::decode(found.bytes) {
            Some(it) if it.shard != self.shard || it.sequence != found.place.segment => {
                let segment = it.sequence;
                let what = Wrong::InPlaceOf {
                    segment,
                    shard: it.shard,
                };
                self.find(from, to, what);
            }
            Some(it) if it.series != self.series => {
                self.find(from, to, Wrong::Foreign);
            }
            Some(_) => {}
            None => {
                self.find(from, to, Wrong::Header);
            }
        }
    }

    /// How long the record waited for being signed.
    fn check_wait(&mut self, record: &Record<'_>, found: &Found<'_>) {
        if late::begins(record) {
            self.close_stretch(true);
        }
        let (Some(next), Some(wall)) = (self.anchors.front().copied(), late::shown(record)) else {
            return;
        };
        // Where checkpoints are missing, that is told.
        let follows = next.number <= self.number.saturating_add(1);
        if !follows || wall + USUAL >= next.wall {
            return;
        }
        if self.stretch.is_some_and(|it| it.number != next.number) {
            self.close_stretch(false);
        }
        let stretch = self.stretch.get_or_insert(Stretch {
            number: next.number,
            signed: next.wall,
            from: spot(found.place),
            to: spot(found.after),
            records: 0,
            lapse: Lapse::from(wall),
        });
        stretch.records += 1;
        stretch.to = spot(found.after);
        stretch.lapse.take(record, wall);
    }

    /// Says what was signed late up to here; `ended` says that a life has ended here.
    fn close_stretch(&mut self, ended: bool) {
        let Some(stretch) = self.stretch.take() else {
            return;
        };
        if stretch.lapse.is_long() {
            let late = self.finding(stretch.from, stretch.to, stretch.into());
            self.late.push(late);
        } else if ended {
            self.cut_off += 1;
            self.first_cut.get_or_insert(stretch);
            if let Some((from, to)) = stretch.lapse.gap {
                self.gaps.push(Remark::Gap {
                    shard: self.shard,
                    segment: segment::path(&self.folder, stretch.from.0),
                    byte: stretch.from.1,
                    from,
                    to,
                });
            }
        }
    }

    fn check_time(&mut self, record: &Record<'_>, place: Place) {
        let Some(wall) = record.wall() else { return };
        if let Some(before) = self.wall.filter(|before| wall + STEP < *before) {
            self.steps += 1;
            self.first_step.get_or_insert((place, before, wall));
        }
        self.wall = Some(wall);
    }

    /// A torn record with something behind it is none that a crash has left.
    fn check_torn(&mut self) {
        if let Some(place) = self.torn.take() {
            self.find(spot(place), (place.segment + 1, 0), Wrong::CutShort);
        }
    }

    /// Nothing more comes.
    pub(super) fn finish(mut self, report: &mut Report) {
        let last = self.anchors.back().copied();
        if let Some(last) = last.filter(|_| !self.begun) {
            let what = Wrong::ShardMissing {
                number: last.number,
                records: last.count,
            };
            self.find((self.oldest.unwrap_or(1), 0), last.at, what);
        } else if let Some(last) = last {
            let what = Wrong::EndMissing {
                segment: self.at.segment,
                byte: self.at.offset,
                number: last.number,
                records: last.count,
            };
            self.broken = None;
            // These are before the last checkpoint, and not behind it.
            self.since = 0;
            self.find(self.sound, last.at, what);
        }
        self.close();
        self.close_stretch(false);
        self.remark(report);
        report.findings.append(&mut self.findings);
        report.late.append(&mut self.late);
        report.records += self.records;
        report.unsigned += self.since;
    }
}

impl Walk {
    /// What is no fault.
    fn remark(&mut self, report: &mut Report) {
        let shard = self.shard;
        let path = |sequence| segment::path(&self.folder, sequence);
        if let Some(place) = self.torn {
            report.remarks.push(Remark::PartialRecord {
                segment: path(place.segment),
                byte: place.offset,
            });
        }
        if let Some((place, from, to)) = self.first_step {
            report.remarks.push(Remark::EarlierRecords {
                shard,
                times: self.steps,
                segment: path(place.segment),
                byte: place.offset,
                from,
                to,
            });
        }
        if let Some(it) = self.first_cut {
            report.remarks.push(Remark::SignedLater {
                shard,
                times: self.cut_off,
                segment: path(it.from.0),
                byte: it.from.1,
                written: it.lapse.first,
                signed: it.signed,
            });
        }
        report.remarks.append(&mut self.gaps);
    }
}

const fn spot(place: Place) -> (u64, u64) {
    (place.segment, place.offset)
}

impl Sink for &mut Walk {
    fn place(&mut self, _shard: u16) -> Option<Place> {
        None
    }

    fn reset(&mut self, _shard: u16) {}

    fn take(&mut self, found: &Found<'_>) {
        if !self.begun {
            self.begin(found.place);
        }
        self.check_torn();
        self.compare(spot(found.place));
        if found.place.offset == 0 && !matches!(found.content, Content::Missing(_)) {
            self.check_header(found);
        }
        match found.content {
            Content::Header(_) => {}
            Content::Record(record) => {
                self.records += 1;
                self.since += 1;
                self.check_time(record, found.place);
                self.check_wait(record, found);
            }
            Content::Damage(Damage::Torn) => self.torn = Some(found.place),
            Content::Frame | Content::Damage(Damage::Unknown { .. }) => {
                self.records += 1;
                self.since += 1;
            }
            // A damaged header was told.
            Content::Damage(Damage::Corrupt { .. }) if found.place.offset == 0 => {}
            Content::Damage(damage) => {
                self.find(spot(found.place), spot(found.after), Wrong::Damaged(damage));
            }
            Content::Missing(segments) => {
                let to = found.place.segment;
                let what = Wrong::SegmentsMissing(segments);
                self.find((to.saturating_sub(segments), 0), (to, 0), what);
            }
        }
        if let Some(link) = self.link.as_mut().filter(|_| chained(&found.content)) {
            if found.place.offset == 0 {
                link.cut();
            }
            link.extend(found.bytes);
        }
        self.at = found.after;
        self.compare(spot(found.after));
    }

    fn rest(&mut self, _now: Now, _caught_up: bool, _last: bool) {}
}
