//! The table of known-safe reads: per program, which options are harmless, which aren't, and why.
//!
//! Safe means: reads only, runs nothing else, loads no configuration that could, reaches no network. An option that isn't
//! listed takes a conditional program off the list; so an abbreviated long option does too.

/// On which systems a row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// Everywhere.
    All,
    /// Linux only: elsewhere the program is another one, or none.
    Linux,
}

/// What decides about a program's arguments.
#[derive(Debug, Clone, Copy)]
pub enum Arguments {
    /// No argument can make it do anything but read.
    Any,
    /// Only the listed options; see [`Options`].
    Listed(&'static Options),
    /// A rule of its own, in words.
    Special(&'static str),
}

/// The options of a conditional program.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Harmless letters without a value.
    pub flags: &'static str,
    /// Harmless letters that take a value, joined or as the next word.
    pub values: &'static str,
    /// Harmless long options, with or without `=value`; also the single-dash words of `find`.
    pub long: &'static [&'static str],
    /// Harmless long options that take the next word when there is no `=`; only told apart to count operands.
    pub long_values: &'static [&'static str],
    /// Options that make it unsafe, and why. What is neither here nor above is unsafe because it is unknown.
    pub harmful: &'static [(&'static str, &'static str)],
    /// What its operands may be.
    pub operands: Operands,
}

/// What operands are harmless.
#[derive(Debug, Clone, Copy)]
pub enum Operands {
    /// Any.
    Any,
    /// At most this many, and why.
    AtMost(usize, &'static str),
    /// Only words that begin with `+`, and why.
    Format(&'static str),
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The program's bare name.
    pub program: &'static str,
    /// Where it holds.
    pub on: On,
    /// What decides about its arguments.
    pub arguments: Arguments,
    /// What it does.
    pub why: &'static str,
}

const fn any(program: &'static str, why: &'static str) -> Row {
    Row { program, on: On::All, arguments: Arguments::Any, why }
}

const fn listed(program: &'static str, options: &'static Options, why: &'static str) -> Row {
    Row { program, on: On::All, arguments: Arguments::Listed(options), why }
}

const NONE: Options =
    Options { flags: "", values: "", long: &[], long_values: &[], harmful: &[], operands: Operands::Any };

/// Every known-safe program but Git.
pub const TABLE: &[Row] = &[
    any("basename", "prints part of its argument"),
    any("cat", "prints files"),
    any("cd", "changes the directory of the shell that runs it"),
    any("cksum", "prints or compares sums of files"),
    any("cmp", "compares files"),
    any("comm", "compares sorted files"),
    any("cut", "prints parts of lines"),
    any("df", "prints the space of file systems"),
    any("dirname", "prints part of its argument"),
    any("du", "prints the size of files"),
    any("echo", "prints its arguments"),
    any("expr", "computes from its arguments"),
    any("false", "does nothing"),
    any("grep", "prints matching lines"),
    any("head", "prints the beginning of files"),
    any("id", "prints users and groups"),
    any("ls", "lists files"),
    any("md5sum", "prints or compares sums of files"),
    any("b2sum", "prints or compares sums of files"),
    any("sha1sum", "prints or compares sums of files"),
    any("sha224sum", "prints or compares sums of files"),
    any("sha256sum", "prints or compares sums of files"),
    any("sha384sum", "prints or compares sums of files"),
    any("sha512sum", "prints or compares sums of files"),
    any("nl", "numbers lines"),
    any("od", "prints bytes"),
    any("paste", "joins lines"),
    any("printenv", "prints the environment"),
    any("ps", "lists processes"),
    any("pwd", "prints the directory"),
    any("readlink", "prints where a link leads"),
    any("realpath", "prints a resolved path"),
    any("rev", "prints lines backwards"),
    any("seq", "prints numbers"),
    any("stat", "prints what is known of files"),
    any("strings", "prints texts in files"),
    any("tail", "prints the end of files"),
    any("tr", "replaces characters of its input"),
    any("true", "does nothing"),
    any("uname", "prints the system's name"),
    any("wc", "counts lines and words"),
    any("which", "prints where a program is"),
    any("whoami", "prints the user"),
    Row { on: On::Linux, ..any("numfmt", "formats numbers") },
    Row { on: On::Linux, ..any("nproc", "prints the number of processors") },
    Row { on: On::Linux, ..any("tac", "prints files backwards") },
    listed(
        "base64",
        &Options {
            flags: "dDi",
            values: "wb",
            long: &["--decode", "--ignore-garbage", "--wrap", "--break"],
            harmful: &[("-o", "writes a file"), ("--output", "writes a file")],
            ..NONE
        },
        "prints a file encoded or decoded",
    ),
    listed(
        "date",
        &Options {
            flags: "uR",
            values: "dI",
            long: &[
                "--utc",
                "--universal",
                "--rfc-email",
                "--iso-8601",
                "--rfc-3339",
                "--date",
                "--reference",
                "--debug",
            ],
            long_values: &["--date", "--reference"],
            harmful: &[
                ("-s", "sets the clock"),
                ("--set", "sets the clock"),
                ("-f", "sets the clock on BSD and macOS"),
            ],
            operands: Operands::Format("an operand without `+` sets the clock"),
        },
        "prints the time",
    ),
    listed(
        "diff",
        &Options {
            flags: "abBcdeEinNpqrstTuwyZ",
            values: "CFIULxXSW",
            long: &[
                "--brief",
                "--report-identical-files",
                "--context",
                "--unified",
                "--ed",
                "--normal",
                "--rcs",
                "--side-by-side",
                "--width",
                "--left-column",
                "--suppress-common-lines",
                "--show-c-function",
                "--show-function-line",
                "--label",
                "--expand-tabs",
                "--initial-tab",
                "--tabsize",
                "--suppress-blank-empty",
                "--recursive",
                "--no-dereference",
                "--new-file",
                "--unidirectional-new-file",
                "--ignore-file-name-case",
                "--no-ignore-file-name-case",
                "--exclude",
                "--exclude-from",
                "--starting-file",
                "--from-file",
                "--to-file",
                "--ignore-case",
                "--ignore-tab-expansion",
                "--ignore-trailing-space",
                "--ignore-space-change",
                "--ignore-all-space",
                "--ignore-blank-lines",
                "--ignore-matching-lines",
                "--text",
                "--strip-trailing-cr",
                "--minimal",
                "--horizon-lines",
                "--speed-large-files",
                "--color",
                "--palette",
            ],
            harmful: &[("-l", "runs `pr`"), ("--paginate", "runs `pr`")],
            ..NONE
        },
        "compares files",
    ),
    Row {
        program: "env",
        on: On::All,
        arguments: Arguments::Listed(&Options {
            flags: "0",
            long: &["--null"],
            harmful: &[("-S", "runs what follows"), ("--split-string", "runs what follows")],
            operands: Operands::AtMost(0, "an operand is a variable to set or a program to run"),
            ..NONE
        }),
        why: "prints the environment",
    },
    listed(
        "file",
        &Options {
            flags: "bcdEhikLlnNpr0sv",
            values: "eFfP",
            long: &[
                "--brief",
                "--checking-printout",
                "--dereference",
                "--no-dereference",
                "--mime",
                "--mime-type",
                "--mime-encoding",
                "--keep-going",
                "--list",
                "--no-buffer",
                "--no-pad",
                "--print0",
                "--raw",
                "--version",
                "--exclude",
                "--exclude-quiet",
                "--separator",
                "--files-from",
                "--parameter",
                "--extension",
                "--apple",
            ],
            harmful: &[
                ("-C", "writes a compiled magic file"),
                ("--compile", "writes a compiled magic file"),
                ("-m", "loads another magic file"),
                ("--magic-file", "loads another magic file"),
                ("-z", "runs decompressors found on the path"),
                ("-Z", "runs decompressors found on the path"),
                ("--uncompress", "runs decompressors found on the path"),
                ("--uncompress-noreport", "runs decompressors found on the path"),
            ],
            ..NONE
        },
        "prints what kind of file something is",
    ),
    listed(
        "find",
        &Options {
            flags: "HLPEXdsx",
            values: "",
            long: &[
                "-O0",
                "-O1",
                "-O2",
                "-O3",
                "-D",
                "-a",
                "-and",
                "-o",
                "-or",
                "-not",
                "-amin",
                "-anewer",
                "-atime",
                "-cmin",
                "-cnewer",
                "-ctime",
                "-daystart",
                "-depth",
                "-empty",
                "-executable",
                "-false",
                "-follow",
                "-fstype",
                "-gid",
                "-group",
                "-ignore_readdir_race",
                "-noignore_readdir_race",
                "-ilname",
                "-iname",
                "-inum",
                "-ipath",
                "-iregex",
                "-iwholename",
                "-links",
                "-lname",
                "-ls",
                "-maxdepth",
                "-mindepth",
                "-mmin",
                "-mount",
                "-mtime",
                "-name",
                "-newer",
                "-nogroup",
                "-noleaf",
                "-nouser",
                "-nowarn",
                "-path",
                "-perm",
                "-print",
                "-print0",
                "-printf",
                "-prune",
                "-quit",
                "-readable",
                "-regex",
                "-regextype",
                "-samefile",
                "-size",
                "-true",
                "-type",
                "-uid",
                "-used",
                "-user",
                "-warn",
                "-wholename",
                "-writable",
                "-xdev",
                "-xtype",
                "-newermt",
                "-newerat",
                "-newerct",
            ],
            harmful: &[
                ("-exec", "runs a program"),
                ("-execdir", "runs a program"),
                ("-ok", "runs a program"),
                ("-okdir", "runs a program"),
                ("-delete", "deletes"),
                ("-fls", "writes a file"),
                ("-fprint", "writes a file"),
                ("-fprint0", "writes a file"),
                ("-fprintf", "writes a file"),
                ("-files0-from", "takes its starting points from a file"),
            ],
            ..NONE
        },
        "lists files",
    ),
    listed(
        "hostname",
        &Options {
            flags: "sI",
            long: &["--short", "--all-ip-addresses"],
            harmful: &[
                ("-F", "sets the host's name"),
                ("--file", "sets the host's name"),
                ("-b", "sets the host's name"),
                ("-f", "asks the name service"),
                ("-i", "asks the name service"),
            ],
            operands: Operands::AtMost(0, "an operand sets the host's name"),
            ..NONE
        },
        "prints the host's name",
    ),
    listed(
        "jq",
        &Options {
            flags: "nsrRcCMaSej",
            values: "",
            long: &[
                "--null-input",
                "--slurp",
                "--raw-output",
                "--raw-output0",
                "--raw-input",
                "--compact-output",
                "--color-output",
                "--monochrome-output",
                "--ascii-output",
                "--sort-keys",
                "--exit-status",
                "--join-output",
                "--tab",
                "--indent",
                "--unbuffered",
                "--stream",
                "--stream-errors",
                "--seq",
                "--arg",
                "--argjson",
                "--slurpfile",
                "--rawfile",
                "--args",
                "--jsonargs",
                "--version",
            ],
            harmful: &[
                ("-f", "runs a program from a file"),
                ("--from-file", "runs a program from a file"),
                ("-L", "loads modules from elsewhere"),
                ("--library-path", "loads modules from elsewhere"),
            ],
            ..NONE
        },
        "prints parts of JSON files",
    ),
    listed("rg", &RIPGREP, "prints matching lines"),
    Row {
        program: "sed",
        on: On::All,
        arguments: Arguments::Special(
            "exactly `sed -n Np`, `sed -n N,Mp` or `sed -n N,$p` and files: any other script can write (`w`, `-i`) or run (`e`)",
        ),
        why: "prints lines of files",
    },
    listed(
        "sort",
        &Options {
            flags: "bdfghiMnRrVcCmsuz",
            values: "ktS",
            long: &[
                "--ignore-leading-blanks",
                "--dictionary-order",
                "--ignore-case",
                "--general-numeric-sort",
                "--ignore-nonprinting",
                "--month-sort",
                "--human-numeric-sort",
                "--numeric-sort",
                "--random-sort",
                "--random-source",
                "--reverse",
                "--sort",
                "--version-sort",
                "--batch-size",
                "--check",
                "--debug",
                "--key",
                "--merge",
                "--stable",
                "--buffer-size",
                "--field-separator",
                "--parallel",
                "--unique",
                "--zero-terminated",
            ],
            harmful: &[
                ("-o", "writes a file"),
                ("--output", "writes a file"),
                ("--compress-program", "runs a program"),
                ("-T", "writes temporary files elsewhere"),
                ("--temporary-directory", "writes temporary files elsewhere"),
                ("--files0-from", "takes its files from a file"),
            ],
            ..NONE
        },
        "prints lines in order",
    ),
    listed(
        "tree",
        &Options {
            flags: "adfilxpsugDFqNQrtcUvACSnJXh",
            values: "LPI",
            long: &[
                "--noreport",
                "--charset",
                "--filelimit",
                "--dirsfirst",
                "--filesfirst",
                "--prune",
                "--du",
                "--si",
                "--inodes",
                "--device",
                "--matchdirs",
                "--ignore-case",
                "--gitignore",
                "--sort",
                "--timefmt",
                "--metafirst",
                "--fflinks",
            ],
            harmful: &[
                ("-o", "writes a file"),
                ("-R", "writes `00Tree.html` files"),
                ("-H", "prints a page, and writes with `-R`"),
            ],
            ..NONE
        },
        "lists files",
    ),
    listed(
        "uniq",
        &Options {
            flags: "cdDiuz",
            values: "fsw",
            long: &[
                "--count",
                "--repeated",
                "--all-repeated",
                "--skip-fields",
                "--group",
                "--ignore-case",
                "--skip-chars",
                "--unique",
                "--zero-terminated",
                "--check-chars",
            ],
            long_values: &["--skip-fields", "--skip-chars", "--check-chars"],
            operands: Operands::AtMost(1, "a second operand is an output file"),
            ..NONE
        },
        "prints lines that differ",
    ),
    listed(
        "xxd",
        &Options {
            flags: "abCeEipuv",
            values: "cglnos",
            harmful: &[("-r", "writes bytes")],
            operands: Operands::AtMost(1, "a second operand is an output file"),
            ..NONE
        },
        "prints bytes",
    ),
];

const RIPGREP: Options = Options {
    flags: "abcFHhIiLlNnopPqsSUuVvwx0.",
    values: "ABCEefgjMmrtTd",
    long: &[
        "--after-context",
        "--auto-hybrid-regex",
        "--before-context",
        "--binary",
        "--no-binary",
        "--block-buffered",
        "--byte-offset",
        "--case-sensitive",
        "--color",
        "--colors",
        "--column",
        "--no-column",
        "--context",
        "--context-separator",
        "--count",
        "--count-matches",
        "--crlf",
        "--debug",
        "--dfa-size-limit",
        "--encoding",
        "--engine",
        "--field-context-separator",
        "--field-match-separator",
        "--file",
        "--files",
        "--files-with-matches",
        "--files-without-match",
        "--fixed-strings",
        "--follow",
        "--glob",
        "--glob-case-insensitive",
        "--heading",
        "--no-heading",
        "--help",
        "--hidden",
        "--no-hidden",
        "--iglob",
        "--ignore-case",
        "--ignore-file",
        "--ignore-file-case-insensitive",
        "--include-zero",
        "--invert-match",
        "--json",
        "--line-buffered",
        "--line-number",
        "--no-line-number",
        "--line-regexp",
        "--max-columns",
        "--max-columns-preview",
        "--max-count",
        "--max-depth",
        "--max-filesize",
        "--mmap",
        "--no-mmap",
        "--multiline",
        "--multiline-dotall",
        "--no-config",
        "--no-filename",
        "--no-ignore",
        "--no-ignore-dot",
        "--no-ignore-exclude",
        "--no-ignore-files",
        "--no-ignore-global",
        "--no-ignore-messages",
        "--no-ignore-parent",
        "--no-ignore-vcs",
        "--no-messages",
        "--no-require-git",
        "--no-unicode",
        "--null",
        "--null-data",
        "--one-file-system",
        "--only-matching",
        "--passthru",
        "--path-separator",
        "--pcre2",
        "--pretty",
        "--quiet",
        "--regex-size-limit",
        "--regexp",
        "--replace",
        "--smart-case",
        "--sort",
        "--sortr",
        "--stats",
        "--stop-on-nonmatch",
        "--text",
        "--threads",
        "--trim",
        "--type",
        "--type-add",
        "--type-clear",
        "--type-list",
        "--type-not",
        "--unrestricted",
        "--version",
        "--vimgrep",
        "--with-filename",
        "--word-regexp",
    ],
    long_values: &[],
    harmful: &[
        ("--pre", "runs a program for each file"),
        ("--pre-glob", "runs a program for each file"),
        ("--hostname-bin", "runs a program"),
        ("-z", "runs decompressors found on the path"),
        ("--search-zip", "runs decompressors found on the path"),
    ],
    operands: Operands::Any,
};

/// A variable that makes a safe program do more than read.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name; a `*` at the end stands for anything.
    pub name: &'static str,
    /// The program it matters to; empty for every program.
    pub program: &'static str,
    /// Whether it matters only if its value leads into a writable or relative place.
    pub only_writable: bool,
    /// What it does.
    pub why: &'static str,
}

/// Variables that take programs off the list.
pub const VARIABLES: &[Variable] = &[
    Variable { name: "LD_*", program: "", only_writable: true, why: "loads code into every program" },
    Variable { name: "DYLD_*", program: "", only_writable: true, why: "loads code into every program" },
    Variable { name: "GCONV_PATH", program: "", only_writable: true, why: "loads character set modules" },
    Variable { name: "RIPGREP_CONFIG_PATH", program: "rg", only_writable: false, why: "adds options such as `--pre`" },
    Variable { name: "BASH_ENV", program: "sh", only_writable: false, why: "is run by every script" },
    Variable { name: "ENV", program: "sh", only_writable: false, why: "is run by every script" },
    Variable { name: "BASH_FUNC_*", program: "sh", only_writable: false, why: "replaces a command by a function" },
    Variable { name: "SHELLOPTS", program: "sh", only_writable: false, why: "changes what a script means" },
    Variable { name: "BASHOPTS", program: "sh", only_writable: false, why: "changes what a script means" },
    Variable { name: "ZDOTDIR", program: "sh", only_writable: false, why: "names start-up files" },
];

/// Directories whose programs may be named by absolute path.
pub const SYSTEM_DIRECTORIES: &[&str] =
    &["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/opt/homebrew/bin"];

/// Commands that are part of every shell, so that `PATH` has no say in them there.
pub const BUILTINS: &[&str] = &["cd", "echo", "false", "pwd", "true"];
