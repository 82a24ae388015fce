//! Values of a rule file while it is evaluated, the heap they live in, and the meter that bounds both.
//!
//! Lists and dictionaries live in arenas and are named by index: no value owns another, so nothing recursive runs when
//! they are dropped, however they were nested.

use super::{Fault, Limits, LoadProblem};
use starlark_syntax::syntax::ast::{AstExpr, AstParameter, AstStmt};
use std::collections::HashMap;
use std::rc::Rc;

/// How deep values are followed for printing and comparing.
const MAX_FOLLOW: usize = 32;

#[derive(Clone, Debug)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Rc<str>),
    List(usize),
    Tuple(usize),
    Dict(usize),
    Range(i64, i64, i64),
    Function(usize),
    Builtin(&'static str),
    Method(Rc<(Value, String)>),
}

impl Value {
    pub(super) fn str(text: &str) -> Self {
        Self::Str(Rc::from(text))
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "string",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::Range(..) => "range",
            Self::Function(_) | Self::Builtin(_) | Self::Method(_) => "function",
        }
    }
}

/// A function of the file.
#[derive(Clone, Copy)]
pub(super) struct Closure<'a> {
    pub(super) params: &'a [AstParameter],
    pub(super) body: Body<'a>,
    pub(super) frame: usize,
    /// Position of its defaults in `Heap::lists`, by parameter.
    pub(super) defaults: usize,
}

#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    Block(&'a AstStmt),
    Expression(&'a AstExpr),
}

#[derive(Default)]
pub(super) struct Frame<'a> {
    pub(super) names: HashMap<&'a str, Value>,
    pub(super) parent: Option<usize>,
}

/// What evaluation may still spend.
pub(super) struct Meter {
    steps: u64,
    memory: usize,
    limits: Limits,
}

impl Meter {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { steps: limits.steps, memory: limits.memory, limits: *limits }
    }

    pub(super) fn step(&mut self, count: usize) -> Result<(), Fault> {
        let left = u64::try_from(count).ok().and_then(|count| self.steps.checked_sub(count));
        self.steps = left.ok_or_else(|| fault(LoadProblem::Steps(self.limits.steps)))?;
        Ok(())
    }

    /// Counts `bytes` that are about to be made. What was made is never given back.
    pub(super) fn make(&mut self, bytes: usize) -> Result<(), Fault> {
        let left = self.memory.checked_sub(bytes).ok_or_else(|| fault(LoadProblem::Memory(self.limits.memory)))?;
        self.memory = left;
        self.step(1 + bytes / 256)
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }
}

pub(super) fn fault(problem: LoadProblem) -> Fault {
    Box::new((problem, None))
}

pub(super) fn type_fault<T>(text: impl Into<String>) -> Result<T, Fault> {
    Err(fault(LoadProblem::Type(text.into())))
}

/// Everything that evaluation makes.
pub(super) struct Heap<'a> {
    pub(super) lists: Vec<Vec<Value>>,
    pub(super) dicts: Vec<Vec<(Value, Value)>>,
    pub(super) functions: Vec<Closure<'a>>,
    pub(super) frames: Vec<Frame<'a>>,
    pub(super) meter: Meter,
}

const SLOT: usize = std::mem::size_of::<Value>();

impl<'a> Heap<'a> {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            lists: Vec::new(),
            dicts: Vec::new(),
            functions: Vec::new(),
            frames: vec![Frame::default()],
            meter: Meter::new(limits),
        }
    }

    pub(super) fn list(&mut self, items: Vec<Value>) -> Result<Value, Fault> {
        Ok(Value::List(self.slots(items)?))
    }

    pub(super) fn tuple(&mut self, items: Vec<Value>) -> Result<Value, Fault> {
        Ok(Value::Tuple(self.slots(items)?))
    }

    pub(super) fn slots(&mut self, items: Vec<Value>) -> Result<usize, Fault> {
        self.meter.make(SLOT * (items.len() + 2))?;
        self.lists.push(items);
        Ok(self.lists.len() - 1)
    }

    pub(super) fn dict(&mut self, pairs: Vec<(Value, Value)>) -> Result<Value, Fault> {
        self.meter.make(SLOT * (2 * pairs.len() + 2))?;
        self.dicts.push(pairs);
        Ok(Value::Dict(self.dicts.len() - 1))
    }

    pub(super) fn string(&mut self, text: String) -> Result<Value, Fault> {
        self.meter.make(text.len() + SLOT)?;
        Ok(Value::Str(Rc::from(text)))
    }

    pub(super) fn frame(&mut self, parent: usize) -> Result<usize, Fault> {
        self.meter.make(std::mem::size_of::<Frame<'_>>())?;
        self.frames.push(Frame { names: HashMap::new(), parent: Some(parent) });
        Ok(self.frames.len() - 1)
    }

    /// The items of a list or tuple.
    pub(super) fn items(&self, at: usize) -> &[Value] {
        self.lists.get(at).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn pairs(&self, at: usize) -> &[(Value, Value)] {
        self.dicts.get(at).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn dict_get(&mut self, at: usize, key: &Value) -> Result<Option<Value>, Fault> {
        let found = self.dict_find(at, key)?;
        Ok(found.and_then(|index| self.pairs(at).get(index)).map(|(_, value)| value.clone()))
    }

    fn dict_find(&mut self, at: usize, key: &Value) -> Result<Option<usize>, Fault> {
        for index in 0..self.pairs(at).len() {
            let Some((known, _)) = self.pairs(at).get(index).cloned() else { break };
            if self.equal(&known, key, 0)? {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    pub(super) fn dict_set(&mut self, at: usize, key: Value, value: Value) -> Result<(), Fault> {
        if matches!(key, Value::List(_) | Value::Dict(_)) {
            return type_fault(format!("a {} can't be a key of a dictionary", key.type_name()));
        }
        let found = self.dict_find(at, &key)?;
        self.meter.make(2 * SLOT)?;
        if let Some(pairs) = self.dicts.get_mut(at) {
            match found.and_then(|index| pairs.get_mut(index)) {
                Some(pair) => pair.1 = value,
                None => pairs.push((key, value)),
            }
        }
        Ok(())
    }

    /// Everything a value holds when it is iterated over.
    pub(super) fn iterate(&mut self, value: &Value) -> Result<Vec<Value>, Fault> {
        let items = match value {
            Value::List(at) | Value::Tuple(at) => {
                self.meter.make(SLOT * self.items(*at).len())?;
                self.items(*at).to_vec()
            }
            Value::Dict(at) => {
                self.meter.make(SLOT * self.pairs(*at).len())?;
                self.pairs(*at).iter().map(|(key, _)| key.clone()).collect()
            }
            Value::Range(start, stop, step) => {
                let count = range_len(*start, *stop, *step);
                self.meter.make(count.saturating_mul(SLOT))?;
                (0..count).map(|n| Value::Int(start.saturating_add(step.saturating_mul(n as i64)))).collect()
            }
            other => return type_fault(format!("a {} can't be iterated over", other.type_name())),
        };
        self.meter.step(items.len())?;
        Ok(items)
    }

    pub(super) fn truthy(&self, value: &Value) -> bool {
        match value {
            Value::None => false,
            Value::Bool(yes) => *yes,
            Value::Int(number) => *number != 0,
            Value::Float(number) => *number != 0.0,
            Value::Str(text) => !text.is_empty(),
            Value::List(at) | Value::Tuple(at) => !self.items(*at).is_empty(),
            Value::Dict(at) => !self.pairs(*at).is_empty(),
            Value::Range(start, stop, step) => range_len(*start, *stop, *step) > 0,
            Value::Function(_) | Value::Builtin(_) | Value::Method(_) => true,
        }
    }

    pub(super) fn equal(&mut self, one: &Value, other: &Value, depth: usize) -> Result<bool, Fault> {
        self.meter.step(1)?;
        if depth > MAX_FOLLOW {
            return type_fault(format!("values are nested more than {MAX_FOLLOW} deep"));
        }
        Ok(match (one, other) {
            (Value::None, Value::None) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::Int(a), Value::Float(b)) | (Value::Float(b), Value::Int(a)) => *a as f64 == *b,
            (Value::Str(a), Value::Str(b)) => a == b,
            (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
                let len = self.items(*a).len();
                if len != self.items(*b).len() {
                    return Ok(false);
                }
                for index in 0..len {
                    let pair = self.items(*a).get(index).cloned().zip(self.items(*b).get(index).cloned());
                    let Some((a, b)) = pair else { return Ok(false) };
                    if !self.equal(&a, &b, depth + 1)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Value::Dict(a), Value::Dict(b)) => a == b,
            (Value::Range(..), Value::Range(..)) => format!("{one:?}") == format!("{other:?}"),
            (Value::Function(a), Value::Function(b)) => a == b,
            (Value::Builtin(a), Value::Builtin(b)) => a == b,
            _ => false,
        })
    }

    /// `repr`, appended to `out`; every byte is counted.
    pub(super) fn repr(&mut self, value: &Value, out: &mut String, depth: usize) -> Result<(), Fault> {
        if depth > MAX_FOLLOW {
            return type_fault(format!("values are nested more than {MAX_FOLLOW} deep"));
        }
        let before = out.len();
        match value {
            Value::None => out.push_str("None"),
            Value::Bool(true) => out.push_str("True"),
            Value::Bool(false) => out.push_str("False"),
            Value::Int(number) => out.push_str(&number.to_string()),
            Value::Float(number) => out.push_str(&format!("{number:?}")),
            Value::Str(text) => {
                self.meter.make(text.len())?;
                crate::print::string(out, text);
            }
            Value::List(at) => return self.repr_items(*at, "[", "]", out, depth),
            Value::Tuple(at) if self.items(*at).len() == 1 => return self.repr_items(*at, "(", ",)", out, depth),
            Value::Tuple(at) => return self.repr_items(*at, "(", ")", out, depth),
            Value::Dict(at) => {
                let pairs = self.pairs(*at).to_vec();
                self.meter.make(2 * SLOT * pairs.len())?;
                out.push('{');
                for (index, (key, value)) in pairs.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    self.repr(key, out, depth + 1)?;
                    out.push_str(": ");
                    self.repr(value, out, depth + 1)?;
                }
                out.push('}');
                return self.meter.make(8);
            }
            Value::Range(start, stop, 1) => out.push_str(&format!("range({start}, {stop})")),
            Value::Range(start, stop, step) => out.push_str(&format!("range({start}, {stop}, {step})")),
            Value::Function(_) | Value::Builtin(_) | Value::Method(_) => out.push_str("<function>"),
        }
        self.meter.make(out.len() - before)
    }

    fn repr_items(&mut self, at: usize, open: &str, close: &str, out: &mut String, depth: usize) -> Result<(), Fault> {
        let items = self.items(at).to_vec();
        self.meter.make(SLOT * items.len() + 8)?;
        out.push_str(open);
        for (index, item) in items.iter().enumerate() {
            out.push_str(if index > 0 { ", " } else { "" });
            self.repr(item, out, depth + 1)?;
        }
        out.push_str(close);
        Ok(())
    }

    /// `str`: a string as it is, anything else as `repr`.
    pub(super) fn text(&mut self, value: &Value) -> Result<Rc<str>, Fault> {
        if let Value::Str(text) = value {
            return Ok(text.clone());
        }
        let mut out = String::new();
        self.repr(value, &mut out, 0)?;
        Ok(Rc::from(out))
    }
}

pub(super) fn range_len(start: i64, stop: i64, step: i64) -> usize {
    let (low, high, step) = if step > 0 { (start, stop, step) } else { (stop, start, step.saturating_neg()) };
    if low >= high || step == 0 {
        return 0;
    }
    let span = high.saturating_sub(low);
    usize::try_from(span / step + i64::from(span % step != 0)).unwrap_or(usize::MAX)
}
