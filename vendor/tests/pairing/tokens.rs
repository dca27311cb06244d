//! Members on fresh tokens, logged in.

#[expect(dead_code, reason = "shared with other tests")]
#[path = "../real/token.rs"]
mod token;

pub(crate) use token::Kind as Vendor;

use std::path::Path;
use std::sync::Once;
use tandem_engine::desk::Desk;
use tandem_engine::member::{Member, SessionId};
use tandem_vendor::{MemberConfig, VendorMember};
use token::TestToken;

/// A member on a fresh token, which is gone when this is dropped.
pub(crate) struct Fixture {
    pub(crate) member: VendorMember,
    /// The login lasts as long as a session is open: this one stays.
    _login: SessionId,
    _token: TestToken,
}

impl Fixture {
    /// Makes a token and logs in on it.
    pub(crate) fn new(vendor: Vendor, name: &str) -> Self {
        Self::with(vendor, name, |_| ())
    }

    /// The same, with a configuration that is out of the ordinary.
    pub(crate) fn with(
        vendor: Vendor,
        name: &str,
        configure: impl FnOnce(&mut MemberConfig),
    ) -> Self {
        static IN_MEMORY: Once = Once::new();
        // On a disk every write to a token waits, and these tests make thousands.
        IN_MEMORY.call_once(|| {
            let memory = Path::new("/dev/shm");
            if memory.is_dir() {
                let _ = tempfile::env::override_temp_dir(memory);
            }
        });
        assert!(vendor.module().is_some(), "{vendor:?}'s module is not here: make members");
        let mut token = TestToken::new(vendor, name);
        configure(&mut token.config);
        let member = token.member();
        let login = token::session(&member);
        Self { member, _login: login, _token: token }
    }

    /// A session of its own.
    pub(crate) fn desk(&self) -> Desk<'_> {
        Desk::open(&self.member, true).unwrap()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.member.stop();
    }
}
