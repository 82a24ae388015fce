//! Statements and expressions of a rule file, evaluated step by counted step.

use super::statements::Sink;
use super::value::{Body, Closure, Heap, Value, fault, type_fault};
use super::{Fault, Limits, LoadProblem, Loaded};
use ringfence_model::Origin;
use starlark_syntax::codemap::{CodeMap, Span};
use starlark_syntax::lexer::TokenInt;
use starlark_syntax::syntax::AstModule;
use starlark_syntax::syntax::ast::{
    ArgumentP, AssignOp, AssignTargetP, AstArgument, AstAssignTarget, AstExpr, AstLiteral, AstStmt, BinOp, ClauseP,
    ExprP, ForClause, ParameterP, StmtP,
};

/// Calls, expressions and blocks within each other, across calls.
const MAX_NESTED: usize = 250;

/// Evaluates a module and returns the statements it made.
pub(super) fn run(
    module: &AstModule,
    codemap: &CodeMap,
    file: &Origin,
    home: Option<&str>,
    limits: &Limits,
) -> Result<Loaded, Fault> {
    let mut interpreter =
        Interpreter { heap: Heap::new(limits), sink: Sink::new(file, home), codemap, nested: 0, statement: None };
    let outcome = interpreter.block(module.statement(), 0);
    let at = interpreter.statement;
    match outcome {
        Ok(Flow::Next) => Ok(interpreter.sink.loaded),
        Ok(_) => Err(fault(LoadProblem::Syntax("`return`, `break` or `continue` outside a function or loop".into()))),
        Err(mut problem) => {
            problem.1 = problem.1.or(at);
            Err(problem)
        }
    }
}

/// How a block ended.
pub(super) enum Flow {
    Next,
    Break,
    Continue,
    Return(Value),
}

pub(super) struct Interpreter<'a, 'f> {
    pub(super) heap: Heap<'a>,
    pub(super) sink: Sink<'f>,
    pub(super) codemap: &'f CodeMap,
    nested: usize,
    /// The statement that runs, for faults that know no better place.
    statement: Option<Span>,
}

/// Arguments of a call, evaluated.
#[derive(Default)]
pub(super) struct Arguments {
    pub(super) positional: Vec<Value>,
    pub(super) named: Vec<(String, Value)>,
}

impl<'a> Interpreter<'a, '_> {
    pub(super) fn block(&mut self, stmt: &'a AstStmt, frame: usize) -> Result<Flow, Fault> {
        self.heap.meter.step(1)?;
        if let StmtP::Statements(stmts) = &stmt.node {
            for one in stmts {
                match self.block(one, frame)? {
                    Flow::Next => {}
                    other => return Ok(other),
                }
            }
            return Ok(Flow::Next);
        }
        self.statement = Some(stmt.span);
        self.nest()?;
        let flow = self.statement(stmt, frame).map_err(|mut problem| {
            problem.1 = problem.1.or(Some(stmt.span));
            problem
        })?;
        self.nested -= 1;
        Ok(flow)
    }

    fn nest(&mut self) -> Result<(), Fault> {
        self.nested += 1;
        if self.nested > MAX_NESTED { Err(fault(LoadProblem::Depth(MAX_NESTED))) } else { Ok(()) }
    }

    fn statement(&mut self, stmt: &'a AstStmt, frame: usize) -> Result<Flow, Fault> {
        match &stmt.node {
            StmtP::Break => return Ok(Flow::Break),
            StmtP::Continue => return Ok(Flow::Continue),
            StmtP::Pass => {}
            StmtP::Return(None) => return Ok(Flow::Return(Value::None)),
            StmtP::Return(Some(expr)) => return Ok(Flow::Return(self.expr(expr, frame)?)),
            StmtP::Expression(expr) => {
                self.expr(expr, frame)?;
            }
            StmtP::Assign(assign) => {
                let value = self.expr(&assign.rhs, frame)?;
                self.assign(&assign.lhs, value, frame)?;
            }
            StmtP::AssignModify(target, op, expr) => self.modify(target, *op, expr, frame)?,
            StmtP::Statements(_) => return self.block(stmt, frame),
            StmtP::If(condition, then) => {
                let value = self.expr(condition, frame)?;
                if self.heap.truthy(&value) {
                    return self.block(then, frame);
                }
            }
            StmtP::IfElse(condition, branches) => {
                let value = self.expr(condition, frame)?;
                let branch = if self.heap.truthy(&value) { &branches.0 } else { &branches.1 };
                return self.block(branch, frame);
            }
            StmtP::For(each) => {
                let over = self.expr(&each.over, frame)?;
                for item in self.heap.iterate(&over)? {
                    self.assign(&each.var, item, frame)?;
                    match self.block(&each.body, frame)? {
                        Flow::Break => break,
                        Flow::Next | Flow::Continue => {}
                        flow @ Flow::Return(_) => return Ok(flow),
                    }
                }
            }
            StmtP::Def(def) => {
                let closure = self.closure(&def.params, Body::Block(&def.body), frame)?;
                self.bind(&def.name.ident, closure, frame)?;
            }
            StmtP::Load(_) => {
                return Err(fault(LoadProblem::NotAvailable(
                    "`load` isn't available in rule files; put the rules into this file".to_owned(),
                )));
            }
        }
        Ok(Flow::Next)
    }

    fn closure(
        &mut self,
        params: &'a [starlark_syntax::syntax::ast::AstParameter],
        body: Body<'a>,
        frame: usize,
    ) -> Result<Value, Fault> {
        let mut defaults = Vec::with_capacity(params.len());
        for param in params {
            defaults.push(match &param.node {
                ParameterP::Normal(_, _, Some(default)) => self.expr(default, frame)?,
                _ => Value::None,
            });
        }
        let defaults = self.heap.slots(defaults)?;
        self.heap.functions.push(Closure { params, body, frame, defaults });
        Ok(Value::Function(self.heap.functions.len() - 1))
    }

    pub(super) fn bind(&mut self, name: &'a str, value: Value, frame: usize) -> Result<(), Fault> {
        self.heap.meter.make(std::mem::size_of::<Value>() * 2)?;
        if let Some(frame) = self.heap.frames.get_mut(frame) {
            frame.names.insert(name, value);
        }
        Ok(())
    }

    fn assign(&mut self, target: &'a AstAssignTarget, value: Value, frame: usize) -> Result<(), Fault> {
        match &target.node {
            AssignTargetP::Identifier(name) => self.bind(&name.ident, value, frame),
            AssignTargetP::Tuple(targets) => {
                let items = self.heap.iterate(&value)?;
                if items.len() != targets.len() {
                    return type_fault(format!("{} names for {} values", targets.len(), items.len()));
                }
                for (target, item) in targets.iter().zip(items) {
                    self.nest()?;
                    self.assign(target, item, frame)?;
                    self.nested -= 1;
                }
                Ok(())
            }
            AssignTargetP::Index(place) => {
                let of = self.expr(&place.0, frame)?;
                let at = self.expr(&place.1, frame)?;
                self.store(&of, at, value)
            }
            AssignTargetP::Dot(..) => type_fault("a value of a rule file has no fields to set"),
        }
    }

    fn store(&mut self, of: &Value, at: Value, value: Value) -> Result<(), Fault> {
        match (of, at) {
            (Value::Dict(dict), key) => self.heap.dict_set(*dict, key, value),
            (Value::List(list), Value::Int(at)) => {
                let index = super::ops::position(at, self.heap.items(*list).len());
                let slot = index.and_then(|index| self.heap.lists.get_mut(*list)?.get_mut(index));
                match slot {
                    Some(slot) => *slot = value,
                    None => return type_fault(format!("there is no item {at}")),
                }
                Ok(())
            }
            (other, _) => type_fault(format!("the items of a {} can't be set", other.type_name())),
        }
    }

    fn modify(
        &mut self,
        target: &'a AstAssignTarget,
        op: AssignOp,
        expr: &'a AstExpr,
        frame: usize,
    ) -> Result<(), Fault> {
        let value = self.expr(expr, frame)?;
        let op = match op {
            AssignOp::Add => BinOp::Add,
            AssignOp::Subtract => BinOp::Subtract,
            AssignOp::Multiply => BinOp::Multiply,
            AssignOp::Divide => BinOp::Divide,
            AssignOp::FloorDivide => BinOp::FloorDivide,
            AssignOp::Percent => BinOp::Percent,
            AssignOp::BitAnd => BinOp::BitAnd,
            AssignOp::BitOr => BinOp::BitOr,
            AssignOp::BitXor => BinOp::BitXor,
            AssignOp::LeftShift => BinOp::LeftShift,
            AssignOp::RightShift => BinOp::RightShift,
        };
        let place = match &target.node {
            AssignTargetP::Index(place) => Some((self.expr(&place.0, frame)?, self.expr(&place.1, frame)?)),
            _ => None,
        };
        let old = match (&target.node, &place) {
            (AssignTargetP::Identifier(name), _) => self.lookup(&name.ident, frame)?,
            (_, Some((of, at))) => self.heap.index(of, at)?,
            _ => return type_fault("only a name or an item can be changed in place"),
        };
        // `list += …` changes the list that every name for it sees.
        if let (Value::List(at), BinOp::Add) = (&old, op) {
            let more = self.heap.iterate(&value)?;
            if let Some(list) = self.heap.lists.get_mut(*at) {
                list.extend(more);
            }
            return Ok(());
        }
        let new = self.heap.binary(op, &old, &value)?;
        match (&target.node, place) {
            (_, Some((of, at))) => self.store(&of, at, new),
            _ => self.assign(target, new, frame),
        }
    }

    fn lookup(&mut self, name: &str, frame: usize) -> Result<Value, Fault> {
        let mut at = Some(frame);
        while let Some(frame) = at.and_then(|at| self.heap.frames.get(at)) {
            if let Some(value) = frame.names.get(name) {
                return Ok(value.clone());
            }
            at = frame.parent;
        }
        super::builtins::named(name).ok_or_else(|| fault(LoadProblem::UnknownName(ringfence_model::text::escape(name))))
    }

    pub(super) fn expr(&mut self, expr: &'a AstExpr, frame: usize) -> Result<Value, Fault> {
        self.heap.meter.step(1)?;
        self.nest()?;
        let value = self.value(expr, frame).map_err(|mut problem| {
            problem.1 = problem.1.or(Some(expr.span));
            problem
        })?;
        self.nested -= 1;
        Ok(value)
    }

    fn exprs(&mut self, exprs: &'a [AstExpr], frame: usize) -> Result<Vec<Value>, Fault> {
        exprs.iter().map(|one| self.expr(one, frame)).collect()
    }

    fn value(&mut self, expr: &'a AstExpr, frame: usize) -> Result<Value, Fault> {
        match &expr.node {
            ExprP::Literal(literal) => self.literal(literal),
            ExprP::Identifier(name) => self.lookup(&name.ident, frame),
            ExprP::List(items) => {
                let items = self.exprs(items, frame)?;
                self.heap.list(items)
            }
            ExprP::Tuple(items) => {
                let items = self.exprs(items, frame)?;
                self.heap.tuple(items)
            }
            ExprP::Call(function, arguments) => {
                let function = self.expr(function, frame)?;
                let arguments = self.arguments(&arguments.args, frame)?;
                self.call(&function, arguments, expr.span)
            }
            ExprP::Dot(of, name) => {
                let of = self.expr(of, frame)?;
                Ok(Value::Method(std::rc::Rc::new((of, name.node.clone()))))
            }
            ExprP::Dict(pairs) => {
                let Value::Dict(made) = self.heap.dict(Vec::new())? else { return Ok(Value::None) };
                for (key, value) in pairs {
                    let key = self.expr(key, frame)?;
                    let value = self.expr(value, frame)?;
                    self.heap.dict_set(made, key, value)?;
                }
                Ok(Value::Dict(made))
            }
            ExprP::Op(left, op @ (BinOp::And | BinOp::Or), right) => {
                let left = self.expr(left, frame)?;
                if self.heap.truthy(&left) == (*op == BinOp::Or) { Ok(left) } else { self.expr(right, frame) }
            }
            ExprP::Op(left, op, right) => {
                let left = self.expr(left, frame)?;
                let right = self.expr(right, frame)?;
                self.heap.binary(*op, &left, &right)
            }
            ExprP::If(parts) => {
                let condition = self.expr(&parts.0, frame)?;
                let branch = if self.heap.truthy(&condition) { &parts.1 } else { &parts.2 };
                self.expr(branch, frame)
            }
            ExprP::Not(of) => {
                let value = self.expr(of, frame)?;
                Ok(Value::Bool(!self.heap.truthy(&value)))
            }
            ExprP::Minus(of) | ExprP::Plus(of) | ExprP::BitNot(of) => self.unary(&expr.node, of, frame),
            ExprP::Index(parts) => {
                let of = self.expr(&parts.0, frame)?;
                let at = self.expr(&parts.1, frame)?;
                self.heap.index(&of, &at)
            }
            ExprP::Slice(of, start, stop, step) => {
                let of = self.expr(of, frame)?;
                let bounds = [self.bound(start, frame)?, self.bound(stop, frame)?, self.bound(step, frame)?];
                self.heap.slice(&of, bounds)
            }
            ExprP::Index2(_) => type_fault("an index of two values"),
            ExprP::Lambda(lambda) => self.closure(&lambda.params, Body::Expression(&lambda.body), frame),
            ExprP::ListComprehension(item, first, clauses) => {
                let frame = self.heap.frame(frame)?;
                let mut made = Vec::new();
                self.comprehend(first, clauses, frame, &mut |this| {
                    let value = this.expr(item, frame)?;
                    this.heap.meter.make(std::mem::size_of::<Value>())?;
                    made.push(value);
                    Ok(())
                })?;
                self.heap.list(made)
            }
            ExprP::DictComprehension(pair, first, clauses) => {
                let frame = self.heap.frame(frame)?;
                let Value::Dict(made) = self.heap.dict(Vec::new())? else { return Ok(Value::None) };
                self.comprehend(first, clauses, frame, &mut |this| {
                    let key = this.expr(&pair.0, frame)?;
                    let value = this.expr(&pair.1, frame)?;
                    this.heap.dict_set(made, key, value)
                })?;
                Ok(Value::Dict(made))
            }
            ExprP::FString(text) => {
                let values = self.exprs(&text.expressions, frame)?;
                self.heap.fill(&text.format.node, &values, &[])
            }
        }
    }

    fn unary(
        &mut self,
        op: &ExprP<starlark_syntax::syntax::ast::AstNoPayload>,
        of: &'a AstExpr,
        frame: usize,
    ) -> Result<Value, Fault> {
        match (op, self.expr(of, frame)?) {
            (ExprP::Plus(_), value @ (Value::Int(_) | Value::Float(_))) => Ok(value),
            (ExprP::Minus(_), Value::Int(number)) => Ok(Value::Int(number.saturating_neg())),
            (ExprP::Minus(_), Value::Float(number)) => Ok(Value::Float(-number)),
            (ExprP::BitNot(_), Value::Int(number)) => Ok(Value::Int(!number)),
            (_, other) => type_fault(format!("a sign doesn't fit a {}", other.type_name())),
        }
    }

    fn bound(&mut self, expr: &'a Option<Box<AstExpr>>, frame: usize) -> Result<Option<i64>, Fault> {
        let Some(expr) = expr else { return Ok(None) };
        match self.expr(expr, frame)? {
            Value::Int(number) => Ok(Some(number)),
            Value::None => Ok(None),
            other => type_fault(format!("a slice's bound must be an int, not a {}", other.type_name())),
        }
    }

    fn literal(&mut self, literal: &AstLiteral) -> Result<Value, Fault> {
        match literal {
            AstLiteral::String(text) => {
                self.heap.meter.make(text.node.len())?;
                Ok(Value::str(&text.node))
            }
            AstLiteral::Int(number) => match &number.node {
                TokenInt::I32(number) => Ok(Value::Int(i64::from(*number))),
                TokenInt::BigInt(number) => match number.to_string().parse() {
                    Ok(number) => Ok(Value::Int(number)),
                    Err(_) => type_fault("a number that doesn't fit 64 bits"),
                },
            },
            AstLiteral::Float(number) => Ok(Value::Float(number.node)),
            AstLiteral::Bytes(_) => type_fault("rule files have no byte strings"),
            AstLiteral::Ellipsis => type_fault("`...` has no meaning in rule files"),
        }
    }

    fn comprehend(
        &mut self,
        first: &'a ForClause,
        clauses: &'a [starlark_syntax::syntax::ast::Clause],
        frame: usize,
        each: &mut dyn FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let over = self.expr(&first.over, frame)?;
        self.nest()?;
        for item in self.heap.iterate(&over)? {
            self.assign(&first.var, item, frame)?;
            self.clauses(clauses, frame, each)?;
        }
        self.nested -= 1;
        Ok(())
    }

    fn clauses(
        &mut self,
        clauses: &'a [starlark_syntax::syntax::ast::Clause],
        frame: usize,
        each: &mut dyn FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let Some((clause, rest)) = clauses.split_first() else { return each(self) };
        match clause {
            ClauseP::For(next) => self.comprehend(next, rest, frame, each),
            ClauseP::If(condition) => {
                let value = self.expr(condition, frame)?;
                if self.heap.truthy(&value) { self.clauses(rest, frame, each) } else { Ok(()) }
            }
        }
    }

    fn arguments(&mut self, given: &'a [AstArgument], frame: usize) -> Result<Arguments, Fault> {
        let mut arguments = Arguments::default();
        for one in given {
            match &one.node {
                ArgumentP::Positional(expr) => arguments.positional.push(self.expr(expr, frame)?),
                ArgumentP::Named(name, expr) => {
                    let value = self.expr(expr, frame)?;
                    arguments.named.push((name.node.clone(), value));
                }
                ArgumentP::Args(expr) => {
                    let value = self.expr(expr, frame)?;
                    arguments.positional.extend(self.heap.iterate(&value)?);
                }
                ArgumentP::KwArgs(expr) => {
                    let Value::Dict(dict) = self.expr(expr, frame)? else {
                        return type_fault("`**` needs a dictionary");
                    };
                    for (key, value) in self.heap.pairs(dict).to_vec() {
                        let Value::Str(name) = key else { return type_fault("`**` needs names as keys") };
                        arguments.named.push((name.to_string(), value));
                    }
                }
            }
        }
        Ok(arguments)
    }

    pub(super) fn call(&mut self, function: &Value, arguments: Arguments, span: Span) -> Result<Value, Fault> {
        self.heap.meter.step(1 + arguments.positional.len() + arguments.named.len())?;
        match function {
            Value::Builtin(name) => self.builtin(name, arguments, span),
            Value::Method(method) => self.method(&method.0, &method.1, arguments, span),
            Value::Function(at) => match self.heap.functions.get(*at).copied() {
                Some(closure) => self.call_closure(closure, arguments),
                None => type_fault("a function that doesn't exist"),
            },
            other => type_fault(format!("a {} can't be called", other.type_name())),
        }
    }

    fn call_closure(&mut self, closure: Closure<'a>, arguments: Arguments) -> Result<Value, Fault> {
        let frame = self.heap.frame(closure.frame)?;
        let Arguments { positional, mut named } = arguments;
        let mut positional = positional.into_iter();
        let mut by_name_only = false;
        for (index, param) in closure.params.iter().enumerate() {
            match &param.node {
                ParameterP::Slash => {}
                ParameterP::NoArgs => by_name_only = true,
                ParameterP::Args(name, _) => {
                    by_name_only = true;
                    let rest = self.heap.tuple(positional.by_ref().collect())?;
                    self.bind(&name.ident, rest, frame)?;
                }
                ParameterP::KwArgs(name, _) => {
                    let pairs = named.drain(..).map(|(key, value)| (Value::str(&key), value)).collect();
                    let rest = self.heap.dict(pairs)?;
                    self.bind(&name.ident, rest, frame)?;
                }
                ParameterP::Normal(name, _, default) => {
                    let by_name = named.iter().position(|(given, _)| *given == name.ident);
                    let by_place = if by_name_only { None } else { positional.next() };
                    let value = match (by_place, by_name) {
                        (Some(_), Some(_)) => return type_fault(format!("`{}` is given twice", name.ident)),
                        (Some(value), None) => value,
                        (None, Some(at)) => named.swap_remove(at).1,
                        (None, None) if default.is_some() => {
                            self.heap.items(closure.defaults).get(index).cloned().unwrap_or(Value::None)
                        }
                        (None, None) => return type_fault(format!("`{}` isn't given", name.ident)),
                    };
                    self.bind(&name.ident, value, frame)?;
                }
            }
        }
        if let Some((name, _)) = named.first() {
            return type_fault(format!("`{}` isn't a parameter of the function", ringfence_model::text::escape(name)));
        }
        if positional.next().is_some() {
            return type_fault("more values are given than the function has parameters");
        }
        match closure.body {
            Body::Expression(expr) => self.expr(expr, frame),
            Body::Block(block) => match self.block(block, frame)? {
                Flow::Return(value) => Ok(value),
                _ => Ok(Value::None),
            },
        }
    }
}
