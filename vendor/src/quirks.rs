//! What is known of modules: declared by name, never found out by trying.

use crate::config::{AfterFork, Overrides};
use std::path::Path;
use tandem_engine::member::Quirks;
use tandem_values::ck::CKM_AES_KEY_WRAP_PAD;

/// How a module departs from the others, as far as this crate and the engine are concerned.
#[expect(clippy::struct_excessive_bools, reason = "facts that have nothing to do with each other")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// What the engine must know.
    pub engine: Quirks,
    /// Each member gets a private copy of the library, so that healing one by C_Finalize leaves the sessions
    /// of another on the same file. Only for modules that are known to work when loaded from a copy: others may
    /// look for files beside themselves or check their own file, so by default a file is loaded once.
    pub private_copy: bool,
    /// C_Login and C_Logout wait until no other call is in the library, and let none in: for modules in which they and
    /// another call can wait for each other for ever.
    pub logs_in_alone: bool,
    /// Searches wait until nothing is being made, changed or destroyed on the token, and let none of that begin: for modules
    /// in which a search makes fail what another thread is making.
    pub searches_alone: bool,
    /// One call at a time, also where the configuration doesn't say so.
    pub serialize: bool,
    /// It works in this process alone: nothing that it writes to can go away, so that no SIGPIPE comes of its calls.
    pub stays_inside: bool,
    /// What a forked child does.
    pub after_fork: AfterFork,
}

impl Known {
    /// With what the configuration states in place of what is known.
    #[must_use]
    pub fn overridden(mut self, by: &Overrides) -> Self {
        let engine = &mut self.engine;
        engine.kwp = by.kwp.unwrap_or(engine.kwp);
        engine.wraps_multiples_of_eight =
            by.wraps_multiples_of_eight.unwrap_or(engine.wraps_multiples_of_eight);
        engine.heals_by_restart = by.heals_by_restart.unwrap_or(engine.heals_by_restart);
        engine.leaves_half_made = by.leaves_half_made.unwrap_or(engine.leaves_half_made);
        self.private_copy = by.private_copy.unwrap_or(self.private_copy);
        self.logs_in_alone = by.logs_in_alone.unwrap_or(self.logs_in_alone);
        self.searches_alone = by.searches_alone.unwrap_or(self.searches_alone);
        self.after_fork = by.after_fork.unwrap_or(self.after_fork);
        self
    }
}

/// What is known of a module: by who made the library and the token, as they say, and before it is loaded by its file's
/// name.
///
/// Whether to load a private copy must be known before the library can say who made it (C_GetInfo answers
/// only after C_Initialize), so the name of the file decides at first. When the library then turns out
/// to be one of those below under another name, the member lets go of it and loads a private copy after all.
pub fn known_quirks(makers: &[&str], module: &Path) -> Known {
    let file = module.file_name().map(|name| name.to_string_lossy().to_lowercase());
    let called = |name: &str| file.as_ref().is_some_and(|file| file.contains(name));
    let is = |maker: &str, name: &str| {
        makers.iter().any(|made_by| made_by.to_lowercase().contains(maker)) || called(name)
    };
    let mut known = by_maker(is);
    if called("p11-kit-client") {
        // A module on another machine, which its token tells. A connection that broke is made anew by C_Initialize alone.
        known.private_copy = true;
        known.engine.heals_by_restart = true;
        // Measured with 0.24.1: a thread in it reads the head of another's answer. When the server dies before the rest of it is read,
        // all threads but that other one wait for ever. It has one connection, so nothing is lost by waiting outside.
        known.serialize = true;
        known.stays_inside = false;
    }
    known
}

fn by_maker(is: impl Fn(&str, &str) -> bool) -> Known {
    // Measured (`facts.md` g, h, m): SoftHSM 2.6.1.
    if is("softhsm", "softhsm") {
        return Known {
            engine: Quirks {
                kwp: CKM_AES_KEY_WRAP_PAD,
                wraps_multiples_of_eight: true,
                heals_by_restart: true,
                leaves_half_made: true,
            },
            private_copy: true,
            // A search reads what another thread has written by half, and the other's C_CreateObject or C_UnwrapKey then answers
            // CKR_GENERAL_ERROR and leaves it so.
            searches_alone: true,
            stays_inside: true,
            ..Known::default()
        };
    }
    // Kryoptic 1.5.4 and NSS 3.87 work from a copy, and follow the standard's numbers.
    if is("kryoptic", "kryoptic") {
        // Its C_Login locks the token and then every session, its C_…Init the session and then the token.
        return Known {
            private_copy: true,
            logs_in_alone: true,
            stays_inside: true,
            ..Known::default()
        };
    }
    if is("mozilla", "softokn") {
        return Known { private_copy: true, ..Known::default() };
    }
    Known::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_values::ck::CKM_AES_KEY_WRAP_KWP;

    #[test]
    fn a_module_is_known_by_its_file_before_it_is_loaded() {
        let soft = known_quirks(&[], Path::new("/usr/lib/softhsm/libsofthsm2.so"));
        assert_eq!(soft.engine.kwp, CKM_AES_KEY_WRAP_PAD);
        assert!(soft.searches_alone && soft.private_copy && soft.engine.wraps_multiples_of_eight);
        let kryoptic = known_quirks(&[], Path::new("/x/libkryoptic_pkcs11.so"));
        assert_eq!(kryoptic.engine.kwp, CKM_AES_KEY_WRAP_KWP);
        assert!(kryoptic.private_copy && kryoptic.logs_in_alone);
        assert!(!kryoptic.engine.wraps_multiples_of_eight);
    }

    #[test]
    fn a_renamed_module_is_known_by_its_maker() {
        let renamed = Path::new("/x/vendor.so");
        assert_eq!(known_quirks(&[], renamed), Known::default());
        assert!(known_quirks(&["SoftHSM"], renamed).engine.heals_by_restart);
        assert!(known_quirks(&["Kryoptic Project"], renamed).private_copy);
        assert_eq!(known_quirks(&["Acme"], renamed), Known::default());
    }

    #[test]
    fn a_module_elsewhere_is_known_by_its_token() {
        let client = Path::new("/usr/lib/pkcs11/p11-kit-client.so");
        let unstarted = known_quirks(&[], client);
        assert!(unstarted.private_copy && unstarted.serialize);
        let soft = known_quirks(&["PKCS#11 Kit", "SoftHSM project"], client);
        assert!(soft.engine.wraps_multiples_of_eight && soft.private_copy);
        let kryoptic = known_quirks(&["PKCS#11 Kit", "Kryoptic Project"], client);
        assert!(kryoptic.engine.heals_by_restart && !kryoptic.engine.wraps_multiples_of_eight);
    }

    #[test]
    fn the_configuration_has_the_last_word() {
        let stated = Overrides {
            private_copy: Some(false),
            kwp: Some(CKM_AES_KEY_WRAP_KWP),
            ..Overrides::default()
        };
        let known = known_quirks(&[], Path::new("/x/libsofthsm2.so")).overridden(&stated);
        assert!(!known.private_copy && known.engine.heals_by_restart);
        assert_eq!(known.engine.kwp, CKM_AES_KEY_WRAP_KWP);
    }
}
