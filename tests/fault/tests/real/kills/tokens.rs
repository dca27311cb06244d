//! What a kill takes from SoftHSM itself. It writes the file of its token anew at every login, from nothing: one that was
//! killed in between has no token any more, whoever used it. The file holds PINs' digests and a label, nothing of
//! Tandem's, and an operator would put it back from a backup. So does this test, and counts.

use crate::common::World;
use std::fs;
use std::path::{Path, PathBuf};
use tandem_tests::Vendor;

/// The files of SoftHSM's tokens as they were before anything was killed.
pub(crate) struct Tokens(Vec<(PathBuf, Vec<u8>)>);

impl Tokens {
    /// Keeps them.
    pub(crate) fn of(world: &World) -> Self {
        let members = world.demo.members().into_iter();
        let soft = members.filter(|(_, vendor)| *vendor == Vendor::SoftHsm);
        let files = soft.map(|(name, _)| token_file(&world.demo.storage(name)));
        Self(files.map(|file| (file.clone(), fs::read(file).expect("a token"))).collect())
    }

    /// Puts back those that were cut off in the middle of being written. Answers how many.
    pub(crate) fn put_back(&self) -> usize {
        let is_whole = |file: &Path, kept: &[u8]| {
            fs::metadata(file).is_ok_and(|file| file.len() >= kept.len() as u64)
        };
        let broken = self.0.iter().filter(|(file, kept)| !is_whole(file, kept));
        broken.map(|(file, kept)| fs::write(file, kept).expect("a token put back")).count()
    }
}

fn token_file(storage: &Path) -> PathBuf {
    let tokens = fs::read_dir(storage.join("tokens")).expect("SoftHSM's tokens");
    let mut files = tokens.map(|token| token.expect("a token").path().join("token.object"));
    files.next().expect("a token")
}
