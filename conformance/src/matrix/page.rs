//! The page: what a layer serves over which members, from what is kept of runs.

use super::Folder;
use super::kept::{Kept, Told};
use super::notes::{Noted, Notes, Run};
use super::programs::{Count as Cases, Programs};
use crate::chapters::CHAPTERS;
use crate::report::Count;
use std::fmt::Write;

/// What a page is made of.
pub struct Page<'a> {
    folder: &'a Folder,
    /// The reasons of differences between a member alone and a layer over it that are right: whose member, and why.
    accepted: Vec<(Option<String>, String)>,
}

impl<'a> Page<'a> {
    /// The page of a folder. `accepted` are the differences that random sequences may show.
    pub const fn of(folder: &'a Folder, accepted: Vec<(Option<String>, String)>) -> Self {
        Self { folder, accepted }
    }

    /// Its text, in Markdown.
    pub fn text(&self) -> String {
        let mut text = String::new();
        section(&mut text, &self.notes().words.begin);
        for paragraph in &self.notes().all {
            let _ = writeln!(text, "* {paragraph}");
        }
        self.functions(&mut text);
        self.families(&mut text);
        self.runs(&mut text);
        self.beside_members(&mut text);
        self.programs(&mut text);
        self.differences(&mut text);
        text
    }

    const fn notes(&self) -> &Notes {
        &self.folder.notes
    }

    fn run(&self, name: &str) -> Option<&Kept> {
        self.folder.runs.iter().find(|run| run.name == name)
    }

    fn layers(&self) -> impl Iterator<Item = (&Run, &Kept)> {
        self.notes().layers().filter_map(|run| Some((run, self.run(&run.name)?)))
    }

    fn all(&self) -> impl Iterator<Item = (&Run, &Kept)> {
        self.notes().run.iter().filter_map(|run| Some((run, self.run(&run.name)?)))
    }

    fn functions(&self, text: &mut String) {
        section(text, &self.notes().words.functions);
        for group in &self.notes().group {
            section(text, &format!("### {}", group.name));
            header(text, "function", &["state".to_owned()], Some("note"));
            for function in &group.functions {
                let Noted { name, note } = function;
                let _ = writeln!(text, "| {name} | {} | {note} |", self.state(name));
            }
        }
    }

    /// What the runs show of a function.
    fn state(&self, function: &str) -> String {
        let layers = || self.layers();
        let over: Vec<_> =
            layers().filter(|(_, kept)| kept.done.contains_key(function)).map(short).collect();
        if over.len() == layers().count() {
            "served".to_owned()
        } else if !over.is_empty() {
            format!("served over {}", over.join("; "))
        } else if layers().all(|(_, kept)| kept.lacks.contains(function)) {
            "not served".to_owned()
        } else {
            "answers".to_owned()
        }
    }

    fn families(&self, text: &mut String) {
        section(text, &self.notes().words.families);
        let titles: Vec<_> = self.all().map(|(run, _)| run.title.clone()).collect();
        header(text, "family", &titles, Some("note"));
        for family in &self.notes().family {
            let own = |kind: &&String| {
                self.notes().family(kind).is_some_and(|other| other.name == family.name)
            };
            let counts: Vec<_> =
                self.all().map(|(_, kept)| kept.mechanisms.iter().filter(own).count()).collect();
            if counts.iter().any(|count| *count > 0) {
                let cells: Vec<_> = counts.iter().map(ToString::to_string).collect();
                let _ =
                    writeln!(text, "| {} | {} | {} |", family.name, cells.join(" | "), family.note);
            }
        }
    }

    fn runs(&self, text: &mut String) {
        section(text, &self.notes().words.runs);
        let titles: Vec<_> = self.all().map(|(run, _)| run.title.clone()).collect();
        header(text, "chapter", &titles, None);
        let mut row = |name: &str, count: &dyn Fn(&Kept) -> Count| {
            let cells: Vec<_> = self.all().map(|(_, kept)| cell(count(kept))).collect();
            let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
        };
        for (chapter, _) in CHAPTERS {
            row(chapter, &|kept| kept.chapters.get(chapter).copied().unwrap_or_default());
        }
        row("**all**", &Kept::count);
        text.push('\n');
        for (run, kept) in self.all() {
            let (module, title) = (&kept.module, &run.title);
            let _ = writeln!(
                text,
                "* {title}: {}, {} {}, PKCS #11 {}.",
                module.manufacturer, module.library, module.version, module.cryptoki
            );
        }
    }

    fn beside_members(&self, text: &mut String) {
        section(text, &self.notes().words.beside);
        for (run, kept) in self.layers() {
            let better: Vec<_> =
                kept.better.iter().map(|(chapter, count)| format!("{chapter} {count}")).collect();
            let _ = writeln!(
                text,
                "* {}: {}; {} ({}).",
                run.title,
                cases(kept.worse.len(), "that its members pass and it doesn't"),
                cases(kept.better.values().sum(), "that it passes and some member doesn't"),
                better.join(", ")
            );
            for Told { case, reason } in kept.worse.iter().chain(&kept.failed) {
                let _ = writeln!(text, "  * {case}: {reason}");
            }
        }
    }

    fn programs(&self, text: &mut String) {
        section(text, &self.notes().words.programs);
        for (number, layer) in self.folder.programs.iter().enumerate() {
            if number > 0 {
                text.push('\n');
            }
            self.layer(text, layer);
        }
    }

    fn layer(&self, text: &mut String, layer: &Programs) {
        let members: Vec<_> = layer.members.split(',').map(|name| self.title(name)).collect();
        let sides = [self.title(&layer.alone).to_owned(), format!("over {}", members.join(" + "))];
        let columns = [sides.as_slice(), &["accepted".to_owned()]].concat();
        header(text, "program", &columns, Some("different"));
        let shown =
            |count: Cases| format!("{} / {} / {}", count.passed, count.failed, count.skipped);
        for program in &layer.programs {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} |",
                program.what,
                shown(program.alone),
                shown(program.layer),
                program.accepted,
                program.different
            );
        }
        let mut reasons: Vec<(&str, usize)> = Vec::new();
        for one in &layer.accepted {
            match reasons.iter_mut().find(|(reason, _)| *reason == one.reason) {
                Some((_, count)) => *count = count.saturating_add(1),
                None => reasons.push((&one.reason, 1)),
            }
        }
        if !reasons.is_empty() {
            section(text, "Accepted:");
        }
        for (reason, count) in reasons {
            let _ = writeln!(text, "* {}", cases(count, &format!("({reason})")));
        }
    }

    /// What the page calls a run.
    fn title<'b>(&'b self, name: &'b str) -> &'b str {
        self.notes().run.iter().find(|run| run.name == name).map_or(name, |run| &*run.title)
    }

    fn differences(&self, text: &mut String) {
        section(text, &self.notes().words.differences);
        let mut makers: Vec<&Option<String>> = Vec::new();
        for (maker, _) in &self.accepted {
            if !makers.contains(&maker) {
                makers.push(maker);
            }
        }
        for maker in makers {
            let whose = maker.as_ref().map_or("any member", String::as_str);
            section(text, &format!("Over {whose}:"));
            let mut told = Vec::new();
            for (other, reason) in &self.accepted {
                if other == maker && !told.contains(&reason) {
                    told.push(reason);
                    let _ = writeln!(text, "* {reason}");
                }
            }
        }
    }
}

/// A layer's members, as the page calls them in a cell.
fn short((run, _): (&Run, &Kept)) -> String {
    run.title.split_once(" over ").map_or(&*run.title, |(_, members)| members).to_owned()
}

/// So many cases, and which.
fn cases(count: usize, which: &str) -> String {
    match count {
        0 => format!("no case {which}"),
        1 => format!("1 case {which}"),
        more => format!("{more} cases {which}"),
    }
}

/// Words with their heading, a line apart from what is before and after them.
fn section(text: &mut String, words: &str) {
    text.truncate(text.trim_end().len());
    let apart = if text.is_empty() { "" } else { "\n\n" };
    let _ = write!(text, "{apart}{}\n\n", words.trim());
}

fn header(text: &mut String, first: &str, titles: &[String], last: Option<&str>) {
    let names = || std::iter::once(first).chain(titles.iter().map(String::as_str)).chain(last);
    let _ = writeln!(text, "| {} |", names().collect::<Vec<_>>().join(" | "));
    let _ = writeln!(text, "| {} |", names().map(|_| "---").collect::<Vec<_>>().join(" | "));
}

fn cell(count: Count) -> String {
    let failed = count.failed.saturating_add(count.known);
    format!("{} / {failed} / {}", count.passed, count.skipped)
}
