//! Tokens with so many keys on them: made once, kept from run to run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tandem_bench::case::{FILL, LABELS};
use tandem_bench::contender::Contender;

/// The user's PIN of every demo.
const PIN: &str = "123456";
/// p11-kit's proxy, as Debian has it.
const PROXY: &str = "/usr/lib/x86_64-linux-gnu/p11-kit-proxy.so";

/// A virtual token over one or more members of a vendor, and its members.
pub(crate) struct Fixture {
    dir: PathBuf,
    artefacts: PathBuf,
}

impl Fixture {
    /// The one of this vendor, with so many members and keys; it is made if it is not there.
    pub(crate) fn of(
        dir: &Path,
        artefacts: &Path,
        (vendor, members, keys): (&str, usize, usize),
    ) -> Result<Self, String> {
        let dir = dir.join(format!("{vendor}-{members}-{keys}"));
        let artefacts =
            artefacts.canonicalize().map_err(|e| format!("{}: {e}", artefacts.display()))?;
        // A mark says that it is whole: what was interrupted is made anew.
        let whole = dir.join("whole");
        let fixture = Self { dir, artefacts };
        if !whole.exists() {
            eprintln!("making {members} of {vendor} with {keys} keys");
            let _ = fs::remove_dir_all(&fixture.dir);
            fixture.make(vendor, members, keys)?;
            fs::write(&whole, "").map_err(|error| error.to_string())?;
        }
        Ok(fixture)
    }

    fn make(&self, vendor: &str, members: usize, keys: usize) -> Result<(), String> {
        let dir = self.dir.display().to_string();
        let names = vec![vendor; members].join(",");
        self.tandem(&["demo", "--dir", &dir, "--members", &names])?;
        for (label, kind) in LABELS {
            self.tandem(&["keys", "generate", "--type", kind, "--label", label])?;
        }
        let count = keys.to_string();
        self.tandem(&["keys", "generate", "--type", "ec:p256", "--count", &count, "--label", FILL])
    }

    fn tandem(&self, arguments: &[&str]) -> Result<(), String> {
        let done = Command::new(self.artefacts.join("tandem"))
            .args(arguments)
            .env("TANDEM_CONFIG", self.dir.join("tandem.toml"))
            .env("TANDEM_PIN", PIN)
            .output()
            .map_err(|error| error.to_string())?;
        if done.status.success() {
            return Ok(());
        }
        Err(format!("tandem {}: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr)))
    }

    /// The vendor's own module on the first member.
    pub(crate) fn direct(&self) -> Result<Contender, String> {
        let env = self.dir.join("members/a/env");
        let text = fs::read_to_string(&env).map_err(|e| format!("{}: {e}", env.display()))?;
        let lines = text.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        let mut environment: Vec<_> = lines
            .map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned()))
            .collect();
        let at = environment.iter().position(|(name, _)| name == "P11_MODULE");
        let module = at.map(|at| environment.swap_remove(at).1).ok_or("env names no module")?;
        let (name, module) = ("direct".to_owned(), PathBuf::from(module));
        Ok(Contender { name, module, label: "a".into(), pin: PIN.into(), environment })
    }

    /// p11-kit's proxy over it.
    pub(crate) fn proxy(&self) -> Result<Contender, String> {
        let mut direct = self.direct()?;
        let home = self.dir.join("home");
        let modules = home.join(".config/pkcs11/modules");
        let text = format!("module: {}\n", direct.module.display());
        fs::create_dir_all(&modules)
            .and_then(|()| fs::write(modules.join("bench.module"), text))
            .map_err(|error| format!("{}: {error}", modules.display()))?;
        for name in ["HOME", "XDG_CONFIG_HOME"] {
            let folder = if name == "HOME" { home.clone() } else { home.join(".config") };
            direct.environment.push((name.to_owned(), folder.display().to_string()));
        }
        Ok(Contender { name: "p11-kit proxy".into(), module: PROXY.into(), ..direct })
    }

    /// Tandem over all members, with keys of `[[token.member]]` set as in `deadline_ms = 0`.
    pub(crate) fn tandem_over(&self, name: &str, settings: &[&str]) -> Result<Contender, String> {
        let config = self.dir.join("tandem.toml");
        let text = fs::read_to_string(&config).map_err(|e| format!("{}: {e}", config.display()))?;
        let section = format!("[[token.member]]\n{}", settings.join("\n"));
        let changed = self.dir.join(format!("{}.toml", name.replace(' ', "-")));
        fs::write(&changed, text.replace("[[token.member]]", &section))
            .map_err(|error| format!("{}: {error}", changed.display()))?;
        Ok(Contender {
            name: name.to_owned(),
            module: self.artefacts.join("libtandem.so"),
            label: "demo".into(),
            pin: PIN.into(),
            environment: vec![("TANDEM_CONFIG".into(), changed.display().to_string())],
        })
    }
}
