//! The live view: redrawn in place on a terminal, else a line of text now and
//! then. It changes nothing of the terminal that would have to be set back.

use std::io::{ErrorKind, IsTerminal, Write, stdout};
use std::time::Duration;

use nix::errno::Errno;
use terminal_size::{Height, Width, terminal_size};

/// How a line is shown, if there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Title,
    Faint,
    Good,
    Bad,
}

/// A line of the view, without its end.
pub(super) struct Line(pub(super) Tone, pub(super) String);

/// How often the text is repeated where nothing can be redrawn.
const PERIOD: Duration = Duration::from_secs(1);

/// Where it is shown.
pub(super) struct Screen {
    live: bool,
    colours: bool,
    /// How many lines were drawn last.
    drawn: usize,
    /// When the next plain line is due.
    next: Duration,
    /// Nobody reads it any more.
    closed: bool,
}

impl Screen {
    pub(super) fn new() -> Self {
        let terminal = stdout().is_terminal();
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            live: terminal && !dumb,
            colours: terminal && !dumb && !no_colour,
            drawn: 0,
            next: PERIOD,
            closed: false,
        }
    }

    /// Whether whoever read it has had enough.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Writes all of it now: what is behind the last line's end, too.
    fn put(&mut self, text: &str) -> Result<(), String> {
        let mut output = stdout().lock();
        let written = output.write_all(text.as_bytes());
        match written.and_then(|()| output.flush()) {
            // What a terminal that was closed says is EIO.
            Err(error)
                if error.kind() == ErrorKind::BrokenPipe
                    || error.raw_os_error() == Some(Errno::EIO as i32) =>
            {
                self.closed = true;
                Ok(())
            }
            written => written.map_err(|error| format!("cannot write the output: {error}")),
        }
    }

    /// Shows how things stand: all of it, or one line.
    ///
    /// # Errors
    /// The output cannot be written.
    pub(super) fn show(
        &mut self,
        elapsed: Duration,
        view: impl FnOnce() -> Vec<Line>,
        line: impl FnOnce() -> String,
    ) -> Result<(), String> {
        if self.live {
            return self.draw(&view());
        }
        if elapsed < self.next {
            return Ok(());
        }
        self.next = elapsed + PERIOD;
        self.put(&(line() + "\n"))
    }

    /// Leaves the view as it is, and goes on below it.
    ///
    /// # Errors
    /// The output cannot be written.
    pub(super) fn below(&mut self, lines: &[Line]) -> Result<(), String> {
        self.drawn = 0;
        let lines = lines.iter().map(|line| self.styled(line, usize::MAX));
        let text: String = lines.map(|line| line + "\n").collect();
        self.put(&text)
    }

    fn draw(&mut self, lines: &[Line]) -> Result<(), String> {
        let (width, height) = terminal_size().map_or((80, 24), |(Width(width), Height(height))| {
            (usize::from(width), usize::from(height))
        });
        let mut text = match self.drawn {
            0 => String::new(),
            lines => format!("\r\x1b[{lines}A"),
        };
        // One column and one row stay free, or the terminal would wrap or scroll.
        let shown = lines.iter().take(height.saturating_sub(1));
        self.drawn = 0;
        for line in shown {
            text.push_str("\r\x1b[2K");
            text.push_str(&self.styled(line, width.saturating_sub(1)));
            text.push('\n');
            self.drawn += 1;
        }
        text.push_str("\x1b[J");
        self.put(&text)
    }

    fn styled(&self, Line(tone, text): &Line, width: usize) -> String {
        let text = clipped(text, width);
        let code = match tone {
            Tone::Title => "1",
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Bad => "1;31",
            Tone::Plain => return text,
        };
        match self.colours {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text,
        }
    }
}

/// As much of the text as fits. Full-width digits take two columns.
fn clipped(text: &str, width: usize) -> String {
    let mut left = width;
    let fits = |c: &char| {
        let columns = if *c > '\u{1100}' { 2 } else { 1 };
        let fits = left >= columns;
        left = left.saturating_sub(columns);
        fits
    };
    text.chars().take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_clipped_by_columns() {
        assert_eq!(clipped("¥175 each", 4), "¥175");
        assert_eq!(clipped("a０１０", 4), "a０");
        assert_eq!(clipped("short", 40), "short");
    }
}
