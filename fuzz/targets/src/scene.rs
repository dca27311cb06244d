//! A virtual token over toy members, with keys, a backup of most of them and a checkpoint: what is sound before it is changed.

use std::io::Read;
use std::sync::{Arc, OnceLock};
use tandem_engine::backup::{Artefact, Source};
use tandem_engine::error::Result;
use tandem_engine::report::Quiet;
use tandem_engine::session::Session;
use tandem_engine::token::Token;
use tandem_simulation::setup::{self, Options, PIN, Snapshot};
use tandem_simulation::store::Books;
use tandem_simulation::toy::Hsm;
use tandem_simulation::world::World;
use tandem_values::{Mechanism, Secret, Template, ck::*};

/// P-256, by its object identifier.
pub(crate) const P256: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];

/// A token as it was when its last process ended.
pub(crate) struct Scene {
    snapshot: Snapshot,
    hsms: Vec<Hsm>,
    /// What its store holds.
    pub(crate) books: Books,
    /// The backup, in bytes.
    pub(crate) bundle: Vec<u8>,
}

/// A process that is logged in.
pub(crate) struct Process {
    pub(crate) token: Arc<Token>,
    pub(crate) session: Arc<Session>,
}

impl Process {
    pub(crate) fn begin(world: &Arc<World>, checkpoint_after: usize) -> Result<Self> {
        let options = Options { checkpoint_after, ..Options::default() };
        let token = setup::token(world, &options, world.be_born());
        token.start();
        let session = token.login(&Secret::new(PIN))?;
        Ok(Self { token, session })
    }
}

/// Bytes that are a bundle, or look like one.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl Source for Bytes<'_> {
    fn open(&self) -> Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.0))
    }
}

impl Scene {
    /// The same for all who ask.
    pub(crate) fn get() -> &'static Self {
        static SCENE: OnceLock<Scene> = OnceLock::new();
        SCENE.get_or_init(|| Self::new().expect("toys do what they are told"))
    }

    /// A world in which it goes on from here.
    pub(crate) fn world(&self) -> Arc<World> {
        let world = self.snapshot.world(4, None);
        *world.books.lock() = self.books.clone();
        for (hsm, then) in world.hsms.iter().zip(&self.hsms) {
            *hsm.lock() = then.clone();
        }
        world
    }

    /// The catalogue's checkpoint, in bytes.
    pub(crate) fn checkpoint(&self) -> Vec<u8> {
        self.books.clone().checkpoint_mut().as_ref().expect("a checkpoint").to_vec()
    }

    fn new() -> Result<Self> {
        let (snapshot, _) = setup::pair(2)?;
        let world = snapshot.world(3, None);
        let process = Process::begin(&world, usize::MAX)?;
        let made =
            (0..4).map(|number| make(&process.session, number)).collect::<Result<Vec<_>>>()?;
        let bundle = back_up(&process.token)?;
        process.token.stop();
        // Whoever ends a login leaves a checkpoint.
        Process::begin(&world, 1)?.token.stop();
        let process = Process::begin(&world, usize::MAX)?;
        process.session.destroy(made[0])?;
        process.session.write(made[1], &Template::new().with(CKA_LABEL, "other"))?;
        make(&process.session, 9)?;
        process.token.stop();
        let hsms = world.hsms.iter().map(|hsm| hsm.lock().clone()).collect();
        let books = world.books.lock().clone();
        Ok(Self { snapshot, hsms, books, bundle })
    }
}

/// A key pair and a secret key; answers the secret key's handle.
fn make(session: &Session, number: u8) -> Result<u64> {
    let named = |template: Template| {
        template.with(CKA_TOKEN, true).with(CKA_ID, [number].as_slice()).with(CKA_LABEL, "key")
    };
    let mechanism = Mechanism::plain(CKM_EC_KEY_PAIR_GEN);
    let public = named(Template::new().with(CKA_EC_PARAMS, P256).with(CKA_VERIFY, true));
    let private = named(Template::new().with(CKA_SIGN, true));
    session.generate_pair(&mechanism, &public, &private)?;
    let secret = named(Template::new().with(CKA_VALUE_LEN, 32).with(CKA_SIGN, true));
    session.generate(&Mechanism::plain(CKM_GENERIC_SECRET_KEY_GEN), &secret)
}

fn back_up(token: &Arc<Token>) -> Result<Vec<u8>> {
    let turn = token.backup_turn()?;
    let backup = token.prepare_backup(&turn)?;
    let plan = token.plan_backup(&backup, None, None)?;
    let mut bundle = Vec::new();
    let written = token.write_bundle(&backup, &plan, &mut bundle, &Quiet)?;
    let artefact =
        Artefact::Bundle { name: "one".into(), bytes: written.bytes, digest: written.digest };
    token.note_made(&turn, &backup, plan, artefact, true)?;
    token.commit_backup(&turn)?;
    Ok(bundle)
}
