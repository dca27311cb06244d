//! The tool before a person: shares are shown one by one and typed one by one, and nothing of them stays.

use super::{
    Published, at, done, is_whole, refused, replace_token, set_of, share_files, shown, some,
};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, ptr};
use tandem_tests::{Demo, Wanted, alone};

/// Empties the screen and what can be scrolled back to.
const CLEAR: &str = "\u{1b}[2J\u{1b}[3J\u{1b}[H";
/// How long the tool may take for its next word.
const PATIENCE: Duration = Duration::from_secs(60);

/// The tool on a terminal.
struct Terminal {
    keys: File,
    screen: Receiver<Vec<u8>>,
    shown: String,
    tool: Child,
}

impl Terminal {
    fn run(mut command: Command) -> Self {
        let (master, slave) = open();
        let end = || Stdio::from(slave.try_clone().expect("the terminal"));
        command.stdin(end()).stdout(end()).stderr(end());
        let tool = command.spawn().expect("tandem runs");
        drop((command, slave));
        let keys = File::from(master);
        let mut reader = keys.try_clone().expect("the terminal");
        let (told, screen) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Ends with an error when the tool has ended.
            while let Ok(read @ 1..) = reader.read(&mut bytes) {
                let _ = told.send(bytes[..read].to_vec());
            }
        });
        Self { keys, screen, shown: String::new(), tool }
    }

    /// Waits until something is shown, and answers all that was shown up to its end since the last time.
    fn until(&mut self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.shown.find(text) {
                let rest = self.shown.split_off(at + text.len());
                return std::mem::replace(&mut self.shown, rest);
            }
            match self.screen.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(why) => panic!("{text:?} is not shown ({why}): {}", self.shown),
            }
        }
    }

    fn type_line(&mut self, line: &str) {
        self.keys.write_all(format!("{line}\n").as_bytes()).expect("keys");
    }

    /// Waits until the tool has ended, and answers what was shown last.
    fn end(mut self) -> (ExitStatus, String) {
        loop {
            match self.screen.recv_timeout(PATIENCE) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(why) => panic!("it does not end ({why}): {}", self.shown),
            }
        }
        (self.tool.wait().expect("a child"), self.shown)
    }
}

/// True if Ctrl-C ends a program there.
fn interrupts(terminal: &File) -> bool {
    let mut modes = std::mem::MaybeUninit::<libc::termios>::zeroed();
    // SAFETY: it is a terminal, and there is a place for its modes.
    let done = unsafe { libc::tcgetattr(terminal.as_raw_fd(), modes.as_mut_ptr()) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: it was filled, and zeroes are modes as well.
    unsafe { modes.assume_init() }.c_lflag & libc::ISIG != 0
}

fn open() -> (OwnedFd, OwnedFd) {
    let (mut master, mut slave) = (-1, -1);
    // SAFETY: both places are there for the answer; name, modes and size are left to the system.
    let done = unsafe {
        libc::openpty(&raw mut master, &raw mut slave, ptr::null_mut(), ptr::null(), ptr::null())
    };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: it was just opened and nobody else has it.
    let master = unsafe { OwnedFd::from_raw_fd(master) };
    // SAFETY: as above.
    (master, unsafe { OwnedFd::from_raw_fd(slave) })
}

/// The words of a share, as they were shown in rows and numbered.
fn words(page: &str) -> String {
    let (_, rows) = page.split_once("keep it safe.").expect("a share");
    let rows = rows.split("Press Enter").next().expect("rows");
    let words: Vec<_> = rows.split_whitespace().filter(|it| !it.ends_with('.')).collect();
    assert_eq!(words.len(), 30, "{page}");
    words.join(" ")
}

/// The words in the file of a share.
fn file(demo: &Demo, number: u8) -> String {
    let share = demo.dir().join(format!("shares/share-{number}.txt"));
    let text = fs::read_to_string(share).expect("a share");
    text.lines().find(|line| !line.starts_with('#')).expect("words").to_owned()
}

#[test]
fn shares_are_typed_and_shown_one_by_one_and_nothing_of_them_stays() {
    alone(&Wanted::mixed(), |demo| {
        let published = Published::by_an_application();
        let (before, files) = (set_of(demo), share_files(demo.dir()).len());
        let terms = ["recovery", "split", "--shares", "4", "--threshold", "2"];
        let mut terminal = Terminal::run(demo.command(terms));
        let ask = |terminal: &mut Terminal, number: usize| {
            terminal.until(&format!("words of share {number} and press Enter"))
        };
        ask(&mut terminal, 1);
        terminal.type_line(&file(demo, 2));
        assert!(ask(&mut terminal, 2).contains("1 of 3 shares"));
        // A mistake costs that share only.
        terminal.type_line(&file(demo, 5).replacen(' ', " zoo ", 1));
        assert!(ask(&mut terminal, 2).contains("31 words"));
        terminal.type_line(&file(demo, 2));
        assert!(ask(&mut terminal, 2).contains("the same share"));
        // Over two lines, as people write.
        let five = file(demo, 5);
        let middle = five.match_indices(' ').nth(14).expect("thirty words").0;
        terminal.type_line(&five[..middle]);
        terminal.type_line(&five[middle + 1..]);
        assert!(ask(&mut terminal, 3).contains("2 of 3 shares"));
        terminal.type_line(&file(demo, 1));

        let mut new = Vec::new();
        for number in 1..=4 {
            let page = terminal.until("Press Enter when it is written down.");
            assert!(page.contains(&format!("Share {number} of 4, set ")), "{page}");
            // Whatever was typed or shown before is gone.
            let (_, page) = page.rsplit_once(CLEAR).expect("an empty screen");
            assert_eq!(set_of(demo), before, "nothing counts before all are handed out");
            new.push(words(page));
            terminal.type_line("");
        }
        let (status, last) = terminal.end();
        assert!(status.success(), "{last}");
        let (_, last) = last.rsplit_once(CLEAR).expect("an empty screen");
        assert!(last.contains("split anew: any 2 of 4 shares"), "{last}");
        assert!(last.contains(&format!("Destroy every share of set {before}")), "{last}");
        assert_eq!(share_files(demo.dir()).len(), files, "no file was written");
        let log = demo.log();
        for share in &new {
            assert!(!log.contains(share) && !last.contains(share), "a share stays");
        }

        // What was written down opens the ring: typed again, on a token that is new.
        replace_token(demo, "a");
        let mut terminal = Terminal::run(demo.command(["recovery", "combine"]));
        ask(&mut terminal, 1);
        terminal.type_line(&new[3].to_uppercase());
        ask(&mut terminal, 2);
        terminal.type_line(&new[0]);
        let (status, last) = terminal.end();
        assert!(status.success() && last.contains("tandem member replace a"), "{last}");
        done(demo, &["member", "replace", "a"]);
        assert!(is_whole(demo));
        published.work_on(demo, "a");
    });
}

#[test]
fn two_operators_do_not_split_at_once() {
    alone(&Wanted::mixed().with("lease_wait_ms=300"), |demo| {
        let from = at(demo, "shares");
        let first =
            ["recovery", "split", "--shares-from", &from, "--shares", "2", "--threshold", "2"];
        let mut terminal = Terminal::run(demo.command(first));
        terminal.until("Press Enter when it is written down.");
        let folder = at(demo, "new");
        let second = ["recovery", "split", "--shares-from", &from, "--shares-dir", &folder];
        refused(demo, &second, &["another operator is splitting its recovery right now"]);
        assert!(share_files(&demo.dir().join("new")).is_empty());
        terminal.type_line("");
        terminal.until("Press Enter when it is written down.");
        terminal.type_line("");
        let (status, last) = terminal.end();
        assert!(status.success(), "{last}");
        done(demo, &second);
        assert_eq!(shown(demo)["earlier"].as_array().map(Vec::len), Some(2));
    });
}

#[test]
fn whoever_has_no_more_shares_stops_and_nothing_has_changed() {
    alone(&Wanted::mixed(), |demo| {
        let (set, head) = (set_of(demo), demo.head());
        let mut terminal = Terminal::run(demo.command(["recovery", "split"]));
        terminal.until("words of share 1 and press Enter");
        terminal.type_line(&file(demo, 4));
        terminal.until("words of share 2 and press Enter");
        terminal.type_line("");
        let (status, last) = terminal.end();
        assert_eq!(status.code(), Some(1), "{last}");
        assert!(last.contains("not enough shares were typed: 1 of 3 shares"), "{last}");
        // The person before the screen leaves, by Ctrl-C or Ctrl-D, while shares are shown: none stays there.
        let from = some(demo, "shares", &[1, 2, 3], "three");
        for (key, why) in [(3, "stopped by Ctrl-C"), (4, "standard input has ended")] {
            let mut terminal =
                Terminal::run(demo.command(["recovery", "split", "--shares-from", &from]));
            let page = terminal.until("Press Enter when it is written down.");
            assert!(!interrupts(&terminal.keys), "Ctrl-C is the tool's own while a share is there");
            terminal.keys.write_all(&[key]).expect("a key");
            let keys = terminal.keys.try_clone().expect("the terminal");
            let (status, last) = terminal.end();
            assert_eq!(status.code(), Some(1), "{last}");
            let (_, last) = last.rsplit_once(CLEAR).expect("an empty screen");
            assert!(last.contains("could not be handed out") && last.contains(why), "{last}");
            assert!(!last.contains(&words(&page)));
            assert!(interrupts(&keys), "the terminal is as it was");
        }
        // The same while they are typed.
        let mut terminal = Terminal::run(demo.command(["recovery", "split"]));
        terminal.until("words of share 1 and press Enter");
        terminal.keys.write_all(b"abandon \x03").expect("keys");
        let (status, last) = terminal.end();
        assert!(status.code() == Some(1) && last.contains("stopped by Ctrl-C"), "{last}");
        assert_eq!((set_of(demo), demo.head()), (set, head));
        // A folder that is named is for files, whoever looks on.
        let folder = at(demo, "new");
        let split = ["recovery", "split", "--shares-from", &from, "--shares-dir", &folder];
        let (status, last) = Terminal::run(demo.command(split)).end();
        assert!(status.success() && last.contains("share-5.txt"), "{last}");
        assert_ne!(set_of(demo), set);
    });
}
