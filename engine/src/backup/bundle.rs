//! The bundle: a log, or a part of it, as a stream of bytes. A line that says what it is, then frames: a header, the records,
//! a trailer. Each record bears its own seal and follows from the one before; the trailer bears one over everything.
//!
//! A frame is its length (four bytes, the highest first) and a [`Part`] in CBOR. Nothing here is secret: key material is
//! wrapped by keys that only HSMs hold.

use super::words::BackupId;
use crate::error::{Error, Result};
use crate::event::{Hash, Record};
use crate::log::Position;
use crate::ring::Ring;
use crate::seal::Seal;
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use std::io::{ErrorKind, Read, Write};
use tandem_values::ck::*;

/// How every bundle begins. Another version begins otherwise after the first word.
const MAGIC: &[u8; 16] = b"tandem-bundle 1\n";
/// The first of it, which all versions share.
const KIND: &[u8] = b"tandem-bundle ";
/// The longest frame that is read, in bytes: far more than a record can take.
const FRAME_MAX: u32 = 64 << 20;

/// What a bundle is a backup of.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Header {
    /// The backup.
    #[n(0)]
    pub id: BackupId,
    /// The virtual token's label, for people.
    #[n(1)]
    pub label: String,
    /// The virtual token's serial number.
    #[n(2)]
    pub serial: String,
    /// Its records come after this position; zero for the whole log.
    #[n(3)]
    pub since: Position,
    /// The link of the record there, from which the first of these follows.
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    pub link: Hash,
    /// Position of its last record.
    #[n(5)]
    pub to: Position,
    /// The committed backup that holds what came before.
    #[n(6)]
    pub base: Option<BackupId>,
    /// False if only chosen objects are in it.
    #[n(7)]
    pub whole: bool,
    /// The key ring as it was, with its recovery.
    #[n(8)]
    pub ring: Box<Ring>,
    /// When it was made, in milliseconds since the Unix epoch; for people.
    #[n(9)]
    pub at_ms: u64,
    /// What the virtual token's serial number is made of: a restored token keeps it.
    #[n(10)]
    #[cbor(with = "minicbor::bytes")]
    pub identity: [u8; 16],
    /// True if nothing is in it but the names under which keys of the stock were claimed.
    #[n(11)]
    #[cbor(default)]
    pub names: bool,
}

/// What a bundle ends with.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Trailer {
    /// How many frames came between header and trailer.
    #[n(0)]
    pub parts: u64,
    /// SHA-256 of every byte before this frame.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub digest: Hash,
    /// The seal's witness of it.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub mac: Hash,
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Part {
    /// The first.
    #[n(0)]
    Header(#[n(0)] Box<Header>),
    /// A record.
    #[n(1)]
    Record(#[n(0)] Box<Record>),
    /// A record that is not in it: what the next one follows from, and that it is one of the log's.
    #[n(2)]
    Stub {
        /// Its position.
        #[n(0)]
        position: Position,
        /// Its link.
        #[n(1)]
        #[cbor(with = "minicbor::bytes")]
        link: Hash,
        /// Its MAC.
        #[n(2)]
        #[cbor(with = "minicbor::bytes")]
        mac: Hash,
    },
    /// The last.
    #[n(3)]
    Trailer(#[n(0)] Trailer),
}

/// What a bundle that was written came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of all of it.
    pub digest: Hash,
}

/// Writes a bundle.
pub(crate) struct Writer<'a> {
    out: &'a mut dyn Write,
    hash: Sha256,
    bytes: u64,
    parts: u64,
}

impl<'a> Writer<'a> {
    /// Begins one.
    pub(crate) fn begin(out: &'a mut dyn Write, header: Header) -> Result<Self> {
        let mut writer = Self { out, hash: Sha256::new(), bytes: 0, parts: 0 };
        writer.put(MAGIC)?;
        writer.frame(&Part::Header(Box::new(header)))?;
        Ok(writer)
    }

    /// Puts in a record, or what stands for one.
    pub(crate) fn part(&mut self, part: &Part) -> Result {
        self.parts = self.parts.saturating_add(1);
        self.frame(part)
    }

    /// Ends it.
    pub(crate) fn end(mut self, seal: &Seal) -> Result<Written> {
        let digest: Hash = self.hash.clone().finalize().into();
        let (parts, mac) = (self.parts, seal.witness(&digest));
        self.frame(&Part::Trailer(Trailer { parts, digest, mac }))?;
        self.out.flush().map_err(|error| unwritten(&error))?;
        Ok(Written { bytes: self.bytes, digest: self.hash.finalize().into() })
    }

    fn frame(&mut self, part: &Part) -> Result {
        let body = minicbor::to_vec(part).map_err(|_| Error::from(CKR_GENERAL_ERROR))?;
        let len = u32::try_from(body.len()).ok().filter(|len| *len <= FRAME_MAX);
        let len = len.ok_or_else(|| broken("a record is too long for it"))?;
        self.put(&len.to_be_bytes())?;
        self.put(&body)
    }

    fn put(&mut self, bytes: &[u8]) -> Result {
        self.out.write_all(bytes).map_err(|error| unwritten(&error))?;
        self.hash.update(bytes);
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }
}

/// A bundle that is read. Nothing of it is believed before [`Bundle::advance`] has come to its end.
pub struct Bundle<'a> {
    from: &'a mut dyn Read,
    header: Header,
    hash: Sha256,
    bytes: u64,
    parts: u64,
    ended: Option<Trailer>,
}

impl<'a> Bundle<'a> {
    /// Opens one. CKR_DATA_INVALID, with the reason, for what is none, or one of a later version.
    pub fn open(from: &'a mut dyn Read) -> Result<Self> {
        let mut magic = [0; MAGIC.len()];
        let mut bundle = Opening { from, hash: Sha256::new(), bytes: 0 };
        bundle.take(&mut magic).map_err(|error| match error.rv.0 {
            CKR_DATA_INVALID => broken("it is no bundle: it is too short"),
            _ => error,
        })?;
        if magic != *MAGIC {
            return Err(broken(if magic.starts_with(KIND) {
                "a later version of Tandem has made it; read it with that"
            } else {
                "it is no bundle of Tandem's"
            }));
        }
        let Part::Header(header) = bundle.frame()? else {
            return Err(broken("its header is missing"));
        };
        let Opening { from, hash, bytes } = bundle;
        Ok(Self { from, header: *header, hash, bytes, parts: 0, ended: None })
    }

    /// What it is a backup of.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next record, or what stands for one; `None` at the end, which bears out all that came before.
    pub fn advance(&mut self) -> Result<Option<Part>> {
        if self.ended.is_some() {
            return Ok(None);
        }
        let before: Hash = self.hash.clone().finalize().into();
        let mut reading = Opening {
            from: &mut *self.from,
            hash: std::mem::take(&mut self.hash),
            bytes: self.bytes,
        };
        let part = reading.frame();
        (self.hash, self.bytes) = (reading.hash, reading.bytes);
        match part? {
            Part::Trailer(trailer) => {
                if trailer.digest != before || trailer.parts != self.parts {
                    return Err(broken("it is not as it was written"));
                }
                if self.from.read(&mut [0]).map_err(|error| unread(&error))? != 0 {
                    return Err(broken("there is more after its end"));
                }
                self.ended = Some(trailer);
                Ok(None)
            }
            Part::Header(_) => Err(broken("it has two headers")),
            part => {
                self.parts = self.parts.saturating_add(1);
                Ok(Some(part))
            }
        }
    }

    /// True if it has ended and whoever wrote it had the log key.
    pub(crate) fn is_witnessed(&self, seal: &Seal) -> bool {
        self.ended.as_ref().is_some_and(|trailer| seal.witness(&trailer.digest) == trailer.mac)
    }

    /// Its length and SHA-256, once it has ended.
    pub fn written(&self) -> Written {
        Written { bytes: self.bytes, digest: self.hash.clone().finalize().into() }
    }
}

/// Bytes that are read and counted.
struct Opening<'a> {
    from: &'a mut dyn Read,
    hash: Sha256,
    bytes: u64,
}

impl Opening<'_> {
    fn take(&mut self, to: &mut [u8]) -> Result {
        self.from.read_exact(to).map_err(|error| unread(&error))?;
        self.hash.update(&*to);
        self.bytes = self.bytes.saturating_add(u64::try_from(to.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    fn frame(&mut self) -> Result<Part> {
        let mut len = [0; 4];
        self.take(&mut len)?;
        let len = u32::from_be_bytes(len);
        if len > FRAME_MAX {
            return Err(broken("it is not as it was written: a length in it is beyond all bounds"));
        }
        // Read as it comes: a length is believed only as far as there are bytes.
        let mut body = Vec::new();
        let mut part = Read::take(&mut *self.from, u64::from(len));
        let read = part.read_to_end(&mut body).map_err(|error| unread(&error))?;
        if u32::try_from(read).ok() != Some(len) {
            return Err(unread(&ErrorKind::UnexpectedEof.into()));
        }
        self.hash.update(&body);
        self.bytes = self.bytes.saturating_add(u64::from(len));
        let mut decoder = minicbor::Decoder::new(&body);
        let part = decoder.decode().ok().filter(|_| decoder.position() == body.len());
        part.ok_or_else(|| broken("it is not as it was written: a part of it makes no sense"))
    }
}

/// The error for a bundle that can't be used.
pub(crate) fn broken(why: &str) -> Error {
    Error::new(CKR_DATA_INVALID, format!("the bundle can't be used: {why}"))
}

/// What a token says that a bundle is on, which is no word of the bundle: it says what happened itself.
fn told(error: &std::io::Error) -> Option<Error> {
    error.get_ref()?.downcast_ref::<Error>().cloned()
}

fn unread(error: &std::io::Error) -> Error {
    if let Some(own) = told(error) {
        return own;
    }
    if error.kind() == ErrorKind::UnexpectedEof {
        return broken("it has been cut short");
    }
    broken(&format!("it can't be read ({error})"))
}

fn unwritten(error: &std::io::Error) -> Error {
    if let Some(own) = told(error) {
        return own;
    }
    let rv = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => CKR_DEVICE_MEMORY,
        _ => CKR_DEVICE_ERROR,
    };
    Error::new(rv, format!("the bundle can't be written: {error}"))
}
