//! Output under the two-call convention (PKCS #11 3.2 section 5.2).

use crate::buffer::{len, ulong};
use crate::functions::Sink;
use tandem_engine::fault::{Call, Class, Fault};
use tandem_engine::step::{Bytes, Output, Room};
use tandem_values::ck::*;
use tandem_values::{Rv, Wiped, rv::Result, spare};

/// The most room that is ever made for output, in bytes. The engine bounds what it asks by what an operation can
/// put out; this is only so that no length, wherever it came from, ends the process.
const ROOM_BYTES_MAX: usize = 1 << 30;

/// What a call put out.
pub(crate) enum Outcome {
    /// Output.
    Bytes(Bytes),
    /// The answer to a query.
    Length(usize),
    /// This much is needed.
    Short(usize),
}

impl From<Outcome> for Output {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Bytes(bytes) => Self::Bytes(bytes),
            Outcome::Length(len) => Self::Length(len),
            Outcome::Short(len) => Self::Short(len),
        }
    }
}

/// Makes a call with so much room. `may_ask`: if the vendor says that the buffer is too small and not what it needs, a
/// query may be made to find out (harmless except where the call itself moves a counter on).
pub(crate) fn output(
    room: Room,
    may_ask: bool,
    mut call: impl FnMut(&mut Sink<'_>) -> Result,
) -> Result<Outcome> {
    let Room::Bytes(room) = room else {
        return query(&mut call).map(Outcome::Length);
    };
    let room = room.min(ROOM_BYTES_MAX);
    let mut buffer = zeroes(room.max(1))?;
    let mut sink = Sink::new(&mut buffer, room);
    let answer = call(&mut sink);
    let wrote = sink.len();
    match answer {
        Ok(()) if wrote <= ulong(room) => {
            buffer.truncate(len(wrote));
            Ok(Outcome::Bytes(buffer.into()))
        }
        // It says that it wrote past the end: nothing it says can be used.
        Ok(()) => Err(Rv(CKR_GENERAL_ERROR)),
        Err(Rv(CKR_BUFFER_TOO_SMALL)) => {
            let plausible = |needed: &usize| *needed > room && *needed <= ROOM_BYTES_MAX;
            let told = Some(len(wrote)).filter(plausible);
            let needed = match told {
                None if may_ask => asked(query(&mut call))?,
                told => told,
            };
            if room == 0 && needed == Some(0) {
                return nothing(&mut call);
            }
            // At the least, more than there was.
            Ok(Outcome::Short(needed.filter(plausible).unwrap_or_else(|| room.saturating_add(1))))
        }
        Err(rv) => Err(rv),
    }
}

/// The answer to a query after a buffer was too small. Some vendors don't answer queries; but one that has gone meanwhile
/// says so here, and that is no word about the buffer.
fn asked(answer: Result<usize>) -> Result<Option<usize>> {
    match answer {
        Err(rv) if matches!(Fault::new(Call::Step, rv.0).class, Class::Ill | Class::Lost) => {
            Err(rv)
        }
        answer => Ok(answer.ok()),
    }
}

/// Makes a call that puts out nothing, with more room than it needs: p11-kit's client (0.24.1) takes room for nothing for a
/// query, and calls it too small when that is answered.
fn nothing(call: &mut impl FnMut(&mut Sink<'_>) -> Result) -> Result<Outcome> {
    let mut buffer = zeroes(1)?;
    let mut sink = Sink::new(&mut buffer, 1);
    call(&mut sink)?;
    // What it had no room for is lost with the operation.
    if sink.len() == 0 { Ok(Outcome::Bytes(Bytes::default())) } else { Err(Rv(CKR_GENERAL_ERROR)) }
}

/// How long the output would be.
fn query(call: &mut impl FnMut(&mut Sink<'_>) -> Result) -> Result<usize> {
    let mut sink = Sink::query();
    call(&mut sink)?;
    if sink.len() > ulong(ROOM_BYTES_MAX) {
        Err(Rv(CKR_GENERAL_ERROR))
    } else {
        Ok(len(sink.len()))
    }
}

/// Zeroes, wiped again when dropped; CKR_HOST_MEMORY if there is no room for them.
fn zeroes(len: usize) -> Result<Wiped> {
    let mut buffer = spare::room(len).map_err(|_| Rv(CKR_HOST_MEMORY))?;
    buffer.resize(len, 0);
    Ok(buffer.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A vendor with so much to put out, that tells what it needs or doesn't.
    fn vendor(value: &'static [u8], tells: bool) -> impl FnMut(&mut Sink<'_>) -> Result {
        move |sink| {
            let (room, len) = sink.for_tests();
            let short = room.as_ref().is_some_and(|_| *len < ulong(value.len()));
            if !short || tells {
                *len = ulong(value.len());
            }
            match room {
                Some(_) if short => Err(Rv(CKR_BUFFER_TOO_SMALL)),
                Some(room) => {
                    room.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
                    Ok(())
                }
                None => Ok(()),
            }
        }
    }

    fn bytes(outcome: Result<Outcome>) -> Vec<u8> {
        match outcome {
            Ok(Outcome::Bytes(bytes)) => bytes.to_vec(),
            _ => panic!("no bytes"),
        }
    }

    #[test]
    fn output_is_as_long_as_the_vendor_says() {
        assert_eq!(bytes(output(Room::Bytes(64), true, vendor(b"signature", true))), b"signature");
        assert_eq!(bytes(output(Room::Bytes(9), true, vendor(b"signature", true))), b"signature");
        // Room for nothing is not a query.
        assert_eq!(bytes(output(Room::Bytes(0), true, vendor(b"", true))), b"");
    }

    #[test]
    fn a_query_does_nothing_and_answers_a_length() {
        let asked = output(Room::Query, true, vendor(b"signature", true));
        assert!(matches!(asked, Ok(Outcome::Length(9))));
    }

    #[test]
    fn a_short_buffer_is_told_what_is_needed() {
        let short =
            |tells, may_ask| match output(Room::Bytes(4), may_ask, vendor(b"signature", tells)) {
                Ok(Outcome::Short(needed)) => needed,
                _ => panic!("not short"),
            };
        assert_eq!((short(true, false), short(false, true)), (9, 9));
        // Nobody knows: more than there was.
        assert_eq!(short(false, false), 5);
    }

    #[test]
    fn nothing_is_put_out_where_room_for_nothing_is_taken_for_a_query() {
        let confused = |value: &'static [u8]| {
            let mut vendor = vendor(value, true);
            move |sink: &mut Sink<'_>| {
                let none = matches!(sink.for_tests(), (Some(_), 0));
                vendor(sink)?;
                if none { Err(Rv(CKR_BUFFER_TOO_SMALL)) } else { Ok(()) }
            }
        };
        assert_eq!(bytes(output(Room::Bytes(0), true, confused(b""))), b"");
        let short = output(Room::Bytes(0), true, confused(b"signature"));
        assert!(matches!(short, Ok(Outcome::Short(9))));
    }

    #[test]
    fn a_vendor_that_goes_before_it_says_what_it_needs_is_gone() {
        let mut asked = 0;
        let goes = |_: &mut Sink<'_>| {
            asked += 1;
            Err(Rv(if asked == 1 { CKR_BUFFER_TOO_SMALL } else { CKR_DEVICE_REMOVED }))
        };
        assert_eq!(output(Room::Bytes(0), true, goes).err(), Some(Rv(CKR_DEVICE_REMOVED)));
    }

    #[test]
    fn a_vendor_that_says_it_wrote_past_the_end_is_not_believed() {
        let liar = |sink: &mut Sink<'_>| {
            *sink.for_tests().1 = 1 << 40;
            Ok(())
        };
        assert_eq!(output(Room::Bytes(8), true, liar).err(), Some(Rv(CKR_GENERAL_ERROR)));
        assert_eq!(output(Room::Query, true, liar).err(), Some(Rv(CKR_GENERAL_ERROR)));
    }

    #[test]
    fn other_errors_are_the_vendors() {
        let fails = |_: &mut Sink<'_>| Err(Rv(CKR_DEVICE_REMOVED));
        assert_eq!(output(Room::Bytes(8), true, fails).err(), Some(Rv(CKR_DEVICE_REMOVED)));
    }
}
