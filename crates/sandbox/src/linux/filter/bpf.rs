//! From rows to BPF: a binary search over call numbers, then the conditions of the one call.
//!
//! The kernel runs the filter once per call number when it is installed (to know which are always allowed), and once per
//! call of the others, so a search is worth its few extra lines. The conditions are compiled by seccompiler.

use super::numbers::{HIGHEST, known, number};
use super::{Action, Arch, Condition, Row};
use libc::sock_filter;
use seccompiler::{BpfProgram, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};
use std::collections::BTreeMap;

/// Why rows can't be compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// A row names a call that no table has.
    #[error("the filter names the unknown system call `{0}`")]
    Unknown(String),
    /// A condition isn't one the compiler takes.
    #[error("compile a condition of `{call}`: {why}")]
    Condition {
        /// The call.
        call: String,
        /// What is wrong.
        why: String,
    },
    /// The program is longer than the kernel takes.
    #[error("the filter has {0} instructions; the kernel takes 4096")]
    TooLong(usize),
}

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const JUMP_ABOVE: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
const JUMP_FROM: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

const OFFSET_NR: u32 = 0;
const OFFSET_ARCH: u32 = 4;

fn statement(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

fn verdict(action: Action) -> u32 {
    match action {
        Action::Allow => libc::SECCOMP_RET_ALLOW,
        Action::Errno(errno) => libc::SECCOMP_RET_ERRNO | (errno as u32 & libc::SECCOMP_RET_DATA),
        Action::Notify => libc::SECCOMP_RET_USER_NOTIF,
        Action::Kill => libc::SECCOMP_RET_KILL_PROCESS,
    }
}

/// What happens from one call number up to the next entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Return(Action),
    Block(usize),
}

/// Compiles rows for one architecture. Every other ABI is killed or gets ENOSYS.
pub fn program<'a>(arch: Arch, rows: impl IntoIterator<Item = &'a Row>) -> Result<Vec<sock_filter>, FilterError> {
    let mut calls: BTreeMap<u32, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        match number(arch, row.call) {
            Some(nr) => calls.entry(nr).or_default().push(row),
            None if known(row.call) => {}
            None => return Err(FilterError::Unknown(row.call.to_owned())),
        }
    }
    let mut blocks: Vec<Vec<sock_filter>> = Vec::new();
    let mut segments: Vec<(u32, Target)> = vec![(0, Target::Return(Action::Allow))];
    let mut cover = |from: u32, target: Target| match segments.last_mut() {
        Some((start, last)) if *start == from => *last = target,
        Some((_, last)) if *last == target => {}
        _ => segments.push((from, target)),
    };
    for (nr, rows) in &calls {
        let target = match rows.first() {
            Some(first) if first.when.is_empty() => Target::Return(first.action),
            _ => {
                blocks.push(block(rows)?);
                Target::Block(blocks.len() - 1)
            }
        };
        cover(*nr, target);
        cover(nr + 1, Target::Return(Action::Allow));
    }
    let mut out = vec![
        statement(LOAD, OFFSET_ARCH),
        jump(JUMP_EQUAL, arch.audit(), 1, 0),
        statement(RETURN, libc::SECCOMP_RET_KILL_PROCESS),
        statement(LOAD, OFFSET_NR),
        // x32 numbers have bit 30 set and end here too.
        jump(JUMP_ABOVE, HIGHEST, 0, 1),
        statement(RETURN, verdict(Action::Errno(libc::ENOSYS))),
    ];
    let mut search = Search::default();
    search.node(&segments);
    let lines = search.lines();
    let mut next = out.len() + lines.len();
    let mut starts = Vec::with_capacity(blocks.len());
    for block in &blocks {
        starts.push(next);
        next += block.len();
    }
    if next > 4096 {
        return Err(FilterError::TooLong(next));
    }
    for line in lines {
        match line {
            Line::Plain(line) => out.push(line),
            Line::ToBlock(index) => {
                let to = starts.get(index).copied().unwrap_or_default();
                out.push(statement(JUMP, u32::try_from(to.saturating_sub(out.len() + 1)).unwrap_or(0)));
            }
        }
    }
    for block in blocks {
        out.extend(block);
    }
    Ok(out)
}

/// The search over segments, in which each end stands once: every instruction costs the kernel 0.4 µs when it takes the filter.
#[derive(Debug, Default)]
struct Search {
    nodes: Vec<Node>,
    ends: Vec<Target>,
}

/// From this number on one way, below it another.
#[derive(Debug, Clone, Copy)]
struct Node {
    from: u32,
    below: Way,
    above: Way,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Node(usize),
    End(usize),
}

impl Search {
    /// Adds the search of these segments, of which there is at least one.
    fn node(&mut self, segments: &[(u32, Target)]) -> Way {
        let (left, right) = segments.split_at(segments.len() / 2);
        let Some((from, target)) = right.first() else { return Way::End(0) };
        if left.is_empty() {
            let known = self.ends.iter().position(|end| end == target);
            return Way::End(known.unwrap_or_else(|| {
                self.ends.push(*target);
                self.ends.len() - 1
            }));
        }
        let place = self.nodes.len();
        self.nodes.push(Node { from: *from, below: Way::End(0), above: Way::End(0) });
        let (below, above) = (self.node(left), self.node(right));
        if let Some(node) = self.nodes.get_mut(place) {
            (node.below, node.above) = (below, above);
        }
        Way::Node(place)
    }

    /// Its instructions: nodes, then ends. A conditional jump reaches 255 instructions: where an end is farther, a plain jump
    /// behind the node goes on to it.
    fn lines(&self) -> Vec<Line> {
        // Whether both ways of a node are near depends on how many instructions lie between, which grows with those jumps.
        let mut long: Vec<[bool; 2]> = vec![[false; 2]; self.nodes.len()];
        loop {
            let mut places = Vec::with_capacity(self.nodes.len() + 1);
            let mut next = 0;
            for far in &long {
                places.push(next);
                next += 1 + usize::from(far[0]) + usize::from(far[1]);
            }
            let place = |way: Way| match way {
                Way::Node(node) => places.get(node).copied().unwrap_or(next),
                Way::End(end) => next + end,
            };
            let mut grown = false;
            for ((node, far), here) in self.nodes.iter().zip(&mut long).zip(&places) {
                for (way, far) in [node.below, node.above].into_iter().zip(far) {
                    // Counted from the node itself, so that a jump behind it makes it nearer, never farther.
                    if !*far && place(way) - here > 256 {
                        *far = true;
                        grown = true;
                    }
                }
            }
            if grown {
                continue;
            }
            let mut out = Vec::with_capacity(next + self.ends.len());
            for ((node, far), here) in self.nodes.iter().zip(&long).zip(&places) {
                let offset = |way: Way, from: usize| place(way).saturating_sub(from + 1);
                // Jumps behind the node: for the way below first.
                let below = if far[0] { 0 } else { offset(node.below, *here) };
                let above = if far[1] { usize::from(far[0]) } else { offset(node.above, *here) };
                let short = |offset: usize| u8::try_from(offset).unwrap_or(u8::MAX);
                out.push(Line::Plain(jump(JUMP_FROM, node.from, short(above), short(below))));
                for (way, far) in [node.below, node.above].into_iter().zip(far) {
                    if *far {
                        let behind = u32::try_from(offset(way, out.len())).unwrap_or(0);
                        out.push(Line::Plain(statement(JUMP, behind)));
                    }
                }
            }
            out.extend(self.ends.iter().map(|end| match end {
                Target::Return(action) => Line::Plain(statement(RETURN, verdict(*action))),
                Target::Block(index) => Line::ToBlock(*index),
            }));
            return out;
        }
    }
}

/// An instruction of the search.
#[derive(Debug, Clone, Copy)]
enum Line {
    Plain(sock_filter),
    ToBlock(usize),
}

/// The rows of one call, in order.
fn block(rows: &[&Row]) -> Result<Vec<sock_filter>, FilterError> {
    let mut out = Vec::new();
    for row in rows {
        row_code(row, &mut out)?;
        if row.when.is_empty() {
            return Ok(out);
        }
    }
    out.push(statement(RETURN, libc::SECCOMP_RET_ALLOW));
    Ok(out)
}

/// One row: its conditions, and its action where they all hold; where not, it goes on behind.
fn row_code(row: &Row, out: &mut Vec<sock_filter>) -> Result<(), FilterError> {
    let failed =
        |error: seccompiler::BackendError| FilterError::Condition { call: row.call.to_owned(), why: error.to_string() };
    // "Any of these bits" is "not none of them": a rule for none, and behind it the way past the row.
    let mut guards: Vec<Vec<sock_filter>> = Vec::new();
    let mut plain = Vec::new();
    for when in &row.when {
        match *when {
            Condition::AnyBit(arg, bits) => {
                let none = condition(Condition::Masked(arg, bits, 0)).map_err(failed)?;
                guards.push(rule(vec![none]).map_err(failed)?);
            }
            other => plain.push(condition(other).map_err(failed)?),
        }
    }
    let mut code = if plain.is_empty() { Vec::new() } else { rule(plain).map_err(failed)? };
    code.push(statement(RETURN, verdict(row.action)));
    for mut guard in guards.into_iter().rev() {
        guard.push(statement(JUMP, u32::try_from(code.len()).unwrap_or(0)));
        guard.append(&mut code);
        code = guard;
    }
    out.append(&mut code);
    Ok(())
}

/// The code of conditions that must all hold; if one doesn't, the one instruction behind is skipped.
fn rule(conditions: Vec<SeccompCondition>) -> Result<Vec<sock_filter>, seccompiler::BackendError> {
    let code: BpfProgram = SeccompRule::new(conditions)?.into();
    // Its first two are jumps for a chain of rules, of which the second leads past what is here; nothing needs them.
    let needed = match code.as_slice() {
        [first, second, rest @ ..] if first.code == JUMP && second.code == JUMP => rest,
        all => all,
    };
    Ok(needed.iter().map(|line| sock_filter { code: line.code, jt: line.jt, jf: line.jf, k: line.k }).collect())
}

fn condition(condition: Condition) -> Result<SeccompCondition, seccompiler::BackendError> {
    use SeccompCmpArgLen::{Dword, Qword};
    use SeccompCmpOp::{Eq, Gt, MaskedEq, Ne};
    match condition {
        Condition::Equal(arg, value) => SeccompCondition::new(arg, Dword, Eq, value.into()),
        Condition::Differs(arg, value) => SeccompCondition::new(arg, Dword, Ne, value.into()),
        Condition::Equal64(arg, value) => SeccompCondition::new(arg, Qword, Eq, value),
        Condition::Differs64(arg, value) => SeccompCondition::new(arg, Qword, Ne, value),
        Condition::Masked(arg, mask, value) => SeccompCondition::new(arg, Dword, MaskedEq(mask.into()), value.into()),
        Condition::AnyBit(arg, bits) => SeccompCondition::new(arg, Dword, MaskedEq(bits.into()), bits.into()),
        Condition::Above(arg, value) => SeccompCondition::new(arg, Dword, Gt, value.into()),
    }
}
