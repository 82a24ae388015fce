//! The linker of the program as it is handed out: it places the functions of a start together.
//!
//! They are a twelfth of the program's code and lie scattered over all of it, so that a start has the kernel map its code in
//! some seventy pieces of 64 KiB, which takes a tenth of its time. So the program is linked once, starts of it are followed, and
//! it is linked again with what ran in front. Where no start can be followed, the first program is the one: it does the same.

use crate::follow;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// By this variable `cargo xtask dist` makes this program the linker, and says where the order is kept.
pub const ORDER: &str = "RINGFENCE_LINK_ORDER";

/// Links as the C compiler would, with the functions of a start in front.
pub fn link(args: &[OsString], order: &Path) -> Result<(), String> {
    // Only for the program itself: what its build runs meanwhile, or tests, is linked as ever.
    let Some(program) = output(args).filter(|program| is_ours(program)) else { return compile(args, None) };
    let named: Vec<OsString> = args.iter().filter(|arg| !strips(arg)).cloned().collect();
    compile(&named, None)?;
    let _ = fs::remove_file(order);
    match script(&program) {
        Ok(script) => {
            fs::write(order, script).map_err(|error| format!("{}: {error}", order.display()))?;
            compile(args, Some(order))
        }
        Err(why) => {
            eprintln!("xtask: the functions of a start stay where they are: {why}");
            compile(args, None)
        }
    }
}

/// Whether the C compiler is told to leave out names.
fn strips(arg: &OsStr) -> bool {
    matches!(arg.to_str(), Some("-s" | "-Wl,--strip-all" | "-Wl,--strip-debug" | "-Wl,-s"))
}

fn output(args: &[OsString]) -> Option<PathBuf> {
    let at = args.iter().position(|arg| arg == "-o")?;
    args.get(at + 1).map(PathBuf::from)
}

/// Cargo names it so, with a hash behind.
fn is_ours(program: &Path) -> bool {
    program.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with("ringfence-"))
}

fn compile(args: &[OsString], order: Option<&Path>) -> Result<(), String> {
    let mut command = Command::new("cc");
    command.args(args);
    if let Some(order) = order {
        command.arg(format!("-Wl,-T,{}", order.display()));
    }
    let status = command.status().map_err(|error| format!("cc: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("cc: {status}")) }
}

/// The part of a linker script that puts what a start runs before everything else.
fn script(program: &Path) -> Result<String, String> {
    let mut functions = functions(program)?;
    for command in [["sandbox", "--", "true"], ["run", "--", "true"]] {
        follow::mark(program, &command, &mut functions)?;
    }
    let sections: String = functions
        .iter()
        .filter(|function| function.ran && is_plain(&function.name))
        .map(|function| format!("    *(.text.{name} .text.unlikely.{name})\n", name = function.name))
        .collect();
    // `INSERT` leaves the linker's own script in force for the rest.
    Ok(format!("SECTIONS\n{{\n  .text.start :\n  {{\n{sections}  }}\n}}\nINSERT BEFORE .text;\n"))
}

/// A function of the program.
#[derive(Debug)]
pub struct Function {
    /// Its first byte.
    pub start: u64,
    /// The one behind its last.
    pub end: u64,
    /// As the linker knows it.
    pub name: String,
    /// Whether some of it ran.
    pub ran: bool,
}

/// All of them, by address.
fn functions(program: &Path) -> Result<Vec<Function>, String> {
    let output = Command::new("readelf").args(["--symbols", "--wide"]).arg(program).output();
    let output = output.map_err(|error| format!("readelf: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut found: Vec<Function> = text.lines().filter_map(function).collect();
    found.sort_by(|one, other| (one.start, &one.name).cmp(&(other.start, &other.name)));
    if found.is_empty() { Err("`readelf` names no functions".to_owned()) } else { Ok(found) }
}

/// A line of `readelf`: number, address, size, type, binding, visibility, section, name.
fn function(line: &str) -> Option<Function> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let start = u64::from_str_radix(words.next()?, 16).ok()?;
    let size: u64 = words.next()?.parse().ok()?;
    let is_code = words.next()? == "FUNC";
    let name = words.nth(3)?.to_owned();
    (is_code && size > 0).then(|| Function { start, end: start + size, name, ran: false })
}

/// Whether a name means itself in a linker script.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_readelf_is_a_function_if_it_is_code() {
        let found =
            function("   412: 0000000000401010    32 FUNC    LOCAL  DEFAULT    3 _ZN9ringfence4main17h0E").unwrap();
        assert_eq!((found.start, found.end, found.name.as_str()), (0x40_1010, 0x40_1030, "_ZN9ringfence4main17h0E"));
        assert!(function("   413: 0000000000e38470   256 OBJECT  LOCAL  DEFAULT    6 _ZN5ACTS17h0E").is_none());
        assert!(function("   Num:    Value          Size Type    Bind   Vis      Ndx Name").is_none());
    }

    #[test]
    fn only_the_program_is_placed_and_its_names_are_kept_for_the_first_link() {
        let args = ["-m64", "-Wl,--strip-all", "-o", "/t/deps/ringfence-0123"].map(OsString::from);
        assert!(output(&args).is_some_and(|program| is_ours(&program)));
        assert!(!is_ours(Path::new("/t/build/ring-0123/build_script_build")));
        assert_eq!(args.iter().filter(|arg| strips(arg)).count(), 1);
        assert!(is_plain("_ZN4core3ptr20drop_in_place$LT$u8$GT$17hE") && !is_plain("a*"));
    }
}
