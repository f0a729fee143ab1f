//! The `tollgate` program.

fn main() -> std::process::ExitCode {
    tollgate::app::main()
}
