//! Every input that is kept, once: the ordinary test run checks what fuzzing found out. One test only,
//! since allocations are counted for the whole process.

use zorilla_fuzz::{TARGETS, corpus};

#[test]
fn every_kept_input() {
    let mut count = 0;
    for target in TARGETS {
        let inputs = corpus::inputs(target.name);
        assert!(!inputs.is_empty(), "nothing is kept for {}", target.name);
        println!("{}: {} inputs", target.name, inputs.len());
        for (name, input) in inputs {
            // Shown only if it fails.
            println!("{}: {name}", target.name);
            (target.run)(&input);
            count += 1;
        }
    }
    println!("{count} inputs");
    assert!(count > 500, "{count}");
}
