//! The targets that the library has set itself, and whether they are met.

use crate::table::Table;

/// The verdicts of a run, in the order in which they were reached.
#[derive(Debug, Default)]
pub struct Targets {
    verdicts: Vec<Verdict>,
}

#[derive(Debug)]
struct Verdict {
    what: String,
    measured: String,
    target: String,
    met: bool,
}

impl Targets {
    /// Notes a figure that must not be larger than a limit, and prints the verdict.
    pub fn at_most(&mut self, limit: f64, measured: f64, what: impl Into<String>) {
        self.note(
            what.into(),
            measured,
            format!("at most {limit}"),
            measured <= limit,
        );
    }

    /// Notes a figure that must not be smaller than a limit, and prints the verdict.
    pub fn at_least(&mut self, limit: f64, measured: f64, what: impl Into<String>) {
        self.note(
            what.into(),
            measured,
            format!("at least {limit}"),
            measured >= limit,
        );
    }

    fn note(&mut self, what: String, measured: f64, target: String, met: bool) {
        let measured = format!("{measured:.3}");
        println!("target: {what}: {measured}, {target}: {}", word(met));
        self.verdicts.push(Verdict {
            what,
            measured,
            target,
            met,
        });
    }

    /// Prints all verdicts as one table, if there are any.
    pub fn print(&self) {
        if self.verdicts.is_empty() {
            return;
        }
        let mut table = Table::new("Targets", &["", "measured", "target", ""]);
        for verdict in &self.verdicts {
            let Verdict {
                what,
                measured,
                target,
                met,
            } = verdict;
            table.row([
                what.clone(),
                measured.clone(),
                target.clone(),
                word(*met).into(),
            ]);
        }
        table.print();
        let met = self.verdicts.iter().filter(|verdict| verdict.met).count();
        println!("{met} of {} met", self.verdicts.len());
    }
}

fn word(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}
