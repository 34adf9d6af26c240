//! Instructions and locked operations of a hit and of an evicting insert.
//!
//! callgrind counts, so neither other work of the machine nor its clock matters. One child
//! process runs one batch of operations, another runs two; the difference excludes the start
//! and the filling. Instructions are not time: most of a hit is waiting for memory.

use anyhow::Result;
use clap::ValueEnum;

use crate::callgrind;
use crate::child::Operation;
use crate::peer::Contender;
use crate::settings::Settings;
use crate::table::Table;
use crate::targets::Targets;

const CONTENDERS: [Contender; 8] = [
    Contender::Hydra,
    Contender::HydraTtl,
    Contender::HydraTags,
    Contender::Quick,
    Contender::Moka,
    Contender::Foyer,
    Contender::Cached,
    Contender::Floor,
];

/// Runs the bench.
pub fn run(settings: &Settings, _targets: &mut Targets) -> Result<()> {
    if !callgrind::is_installed("instructions") {
        return Ok(());
    }
    // Above 16,384 hydracache is sharded, as with 100,000 entries.
    let entries: u32 = settings.size(20_000, 1_000);
    let columns = ["", "hit", "locked", "evicting insert", "locked"];
    let mut table = Table::new("instructions and locked operations of a call", &columns);
    for contender in CONTENDERS {
        let mut cells = vec![contender.name().into()];
        for operation in [Operation::Hit, Operation::Insert] {
            if operation == Operation::Insert && !contender.is_bounded() {
                cells.extend(["-".into(), "-".into()]);
                continue;
            }
            let operation = operation.to_possible_value().expect("none is skipped");
            let (contender, entries) = (contender.argument(), entries.to_string());
            let counts =
                callgrind::of_operation(&["operate", &contender, operation.get_name(), &entries])?;
            cells.push(format!("{:.0}", counts.instructions));
            cells.push(format!("{:.1}", counts.locked));
        }
        table.row(cells);
    }
    table.print();
    Ok(())
}
