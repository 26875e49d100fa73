//! Decision tables: what each combination of trailer fields leads to.

use anyhow::{Context, Result, ensure};
use otaru_flash::{DeviceId, FlashAddr};
use otaru_nor_sim::NorFlash;

use super::case;
use super::format::{Area, Config, Folder, SlotAfter, Table, TableRow};
use super::loader::{self, Outcome};
use super::report::{Report, Verdict};

pub(super) fn replay(folder: &Folder, config: &Config, table: &Table, report: &mut Report) -> Result<()> {
    let slots = config.areas.images.first().context("a config without images")?;
    for row in &table.rows {
        let name = format!("trailer-table/{}/{}/{}-{}", config.id, table.layout, row.primary, row.secondary);
        let mut flash = case::flash(folder, config, &table.base)?;
        lay_over(&mut flash, table, "primary", &row.primary)?;
        lay_over(&mut flash, table, "secondary", &row.secondary)?;
        let outcome = loader::boot(folder, config, &mut flash)?;
        let primary = slot_after(config, &flash, &slots.primary)?;
        let secondary = slot_after(config, &flash, &slots.secondary)?;
        report.add("trailer-table", &name, judge(row, &outcome, &primary, &secondary)?);
    }
    Ok(())
}

fn judge(row: &TableRow, outcome: &Outcome, primary: &SlotAfter, secondary: &SlotAfter) -> Result<Verdict> {
    let mut wrong = Vec::new();
    let result = if matches!(outcome, Outcome::Booted { .. }) { "boot" } else { "noboot" };
    if result != row.result {
        wrong.push(format!("{result}, the reference {}", row.result));
    }
    let mut strict = (0, 0);
    for (slot, found, expected) in
        [("primary", primary, &row.primary_after), ("secondary", secondary, &row.secondary_after)]
    {
        if (&found.version, &found.letters) != (&expected.version, &expected.letters) {
            let show = |slot: &SlotAfter| format!("{} {}", slot.version.as_deref().unwrap_or("no image"), slot.letters);
            wrong.push(format!("the {slot} slot ends with {}, the reference's with {}", show(found), show(expected)));
        }
        strict.0 += usize::from(found.swap_info == expected.swap_info);
        strict.1 += 1;
    }
    let mut verdict = Verdict { strict, ..Verdict::default() };
    match row.check.as_str() {
        "full" => verdict.wrong = wrong,
        // Recorded, not required.
        "torn" => verdict.notes = wrong,
        other => anyhow::bail!("a row is to be checked by {other:?}, which is not known here"),
    }
    Ok(verdict)
}

/// Gives the trailer of a slot the values that the letters for magic, image_ok and copy_done stand for.
fn lay_over(flash: &mut NorFlash, table: &Table, slot: &str, letters: &str) -> Result<()> {
    ensure!(letters.len() == FIELDS.len(), "{letters:?} are not three letters");
    for (field, letter) in FIELDS.iter().zip(letters.chars()) {
        let value = match letter {
            'u' => continue,
            'g' => "good",
            's' => "set",
            'b' => "bad",
            other => anyhow::bail!("{other:?} in {letters:?} is none of u, g, s, b"),
        };
        let patches =
            table.patches.get(slot).and_then(|fields| fields.get(*field)).and_then(|values| values.get(value));
        for patch in patches.with_context(|| format!("the table has no patches for {slot} {field} {value}"))? {
            let bytes = hex::decode(&patch.bytes).with_context(|| format!("{} is not hex", patch.bytes))?;
            flash.load(FlashAddr::new(DeviceId(patch.device), patch.offset), &bytes)?;
        }
    }
    Ok(())
}

/// Reads a slot as the table writes it down, by the cell offsets that the config gives.
fn slot_after(config: &Config, flash: &NorFlash, slot: &Area) -> Result<SlotAfter> {
    let field = |name: &str, length: u32| {
        let cell =
            config.trailer.cells.get(name).with_context(|| format!("the config does not say where {name} is"))?;
        let offset = i64::from(slot.offset) + i64::from(slot.length) + cell;
        case::range(flash, slot.device, u32::try_from(offset)?, length)
    };
    let erased = |bytes: &[u8]| bytes.iter().all(|&byte| byte == config.erased_value);
    let magic = field("magic", 16)?;
    let mut letters = String::new();
    letters.push(match magic {
        _ if magic == loader::magic(config.max_align) => 'g',
        _ if erased(magic) => 'u',
        _ => 'b',
    });
    for name in ["image_ok", "copy_done"] {
        letters.push(match field(name, 1)? {
            [1] => 's',
            byte if erased(byte) => 'u',
            _ => 'b',
        });
    }
    let swap_info = field("swap_info", 1)?;
    Ok(SlotAfter {
        version: case::version_at(flash, slot.address())?,
        letters,
        swap_info: (!erased(swap_info)).then(|| swap_info.first().copied()).flatten(),
    })
}

const FIELDS: [&str; 3] = ["magic", "image_ok", "copy_done"];
