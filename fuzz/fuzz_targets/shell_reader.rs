//! Shell scripts: none panics the reader; what is judged is never less than what stands there.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_model::OsText;
use ringfence_shell::read;

fuzz_target!(|script: &str| {
    for shell in ["bash", "dash", "zsh", "fish"] {
        let reading = read(&[shell, "-c", script].map(OsText::from));
        assert!(!reading.commands.is_empty());
        if reading.is_plain() {
            assert!(reading.commands.iter().all(|command| command.is_known() && !command.words.is_empty()));
            // A plain line stays plain when each command is read by itself, and means the same.
            for command in &reading.commands {
                let quoted: Vec<String> = command
                    .words
                    .iter()
                    .map(|word| format!("'{}'", word.as_str().unwrap_or("").replace('\'', "'\\''")))
                    .collect();
                let again = read(&[shell, "-c", &quoted.join(" ")].map(OsText::from));
                assert!(!again.is_plain() || again.commands[0].words == command.words);
            }
        } else {
            assert_eq!(reading.commands.len(), 1);
            assert_eq!(reading.commands[0].words, reading.argv);
        }
        for command in reading.all() {
            let _ = command.display();
        }
    }
});
