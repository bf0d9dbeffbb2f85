//! What people see while the demo starts: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::output;

const TICK: Duration = Duration::from_millis(100);
const SPINNER: &str = "{spinner} {msg}";
const BAR: &str = "{spinner} {msg} [{bar:30}] {pos}/{len}";

/// Tells how far it is.
pub(super) struct Progress {
    /// None where nobody watches a terminal.
    bar: Option<ProgressBar>,
    said: Mutex<String>,
}

impl Progress {
    pub(super) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::no_length().with_style(style(SPINNER));
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { bar, said: Mutex::default() }
    }

    /// Begins something whose length nobody knows.
    pub(super) fn phase(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_style(style(SPINNER));
        }
        self.say(text);
    }

    /// Begins something of so many steps.
    pub(super) fn steps(&self, text: &str, count: usize) {
        if let Some(bar) = &self.bar {
            bar.set_length(u64::try_from(count).unwrap_or(u64::MAX));
            bar.set_position(0);
            bar.set_style(style(BAR));
        }
        self.say(text);
    }

    /// One step is done; what follows is of `text`.
    pub(super) fn step(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
        self.say(text);
    }

    /// Nothing more to tell.
    pub(super) fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn say(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
            return;
        }
        let mut said = self.said.lock().expect("no code panics while holding it");
        if *said != text {
            output::note(text);
            text.clone_into(&mut said);
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a constant template parses").progress_chars("=> ")
}
