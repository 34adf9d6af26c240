//! The performance targets of the library, and whether a run meets each.

use crate::table::Table;

/// The verdicts of a run, in order.
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
    /// Records a figure with an upper limit, and prints the verdict.
    pub fn at_most(&mut self, limit: f64, measured: f64, what: impl Into<String>) {
        self.record(
            what.into(),
            measured,
            format!("at most {limit}"),
            measured <= limit,
        );
    }

    /// Records a figure with a lower limit, and prints the verdict.
    pub fn at_least(&mut self, limit: f64, measured: f64, what: impl Into<String>) {
        self.record(
            what.into(),
            measured,
            format!("at least {limit}"),
            measured >= limit,
        );
    }

    fn record(&mut self, what: String, measured: f64, target: String, met: bool) {
        let measured = format!("{measured:.3}");
        println!("target: {what}: {measured}, {target}: {}", word(met));
        self.verdicts.push(Verdict {
            what,
            measured,
            target,
            met,
        });
    }

    /// Prints all verdicts as a table; prints nothing without verdicts.
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
