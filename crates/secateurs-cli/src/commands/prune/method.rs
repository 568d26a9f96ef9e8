//! Which options can be combined, and the method that they describe.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use secateurs::checkpoint::Scope;
use secateurs::mask::{
    Amount, BlockRank, BlockStructured, GlobalOptions, L1Unstructured, LnStructured, NmStructured, Norm,
    PruningMethod, RandomStructured, RandomUnstructured,
};

use super::args::{MethodArg, OfArg, Pattern, PruneArgs, ScopeArg};
use crate::failure::Failure;

/// What the options request.
pub struct Request {
    pub method: Box<dyn PruningMethod>,
    pub scope: Scope,
    pub options: GlobalOptions<'static>,
}

impl Request {
    /// Reads the options, or returns which of them cannot be combined.
    pub fn from(args: &PruneArgs) -> Result<Self, Failure> {
        if args.dry_run && args.masks.is_some() {
            return refuse("--dry-run writes nothing, so it cannot be combined with --masks");
        }
        let method = method(args)?;
        let scope = scope(args)?;
        Ok(Request {
            options: options(args, scope)?,
            method,
            scope,
        })
    }
}

/// Whether zeros rank lowest, so that amounts can take them into account.
fn check_zeros(args: &PruneArgs, by: MethodArg) -> Result<(), Failure> {
    let until = args
        .amount
        .is_some_and(|amount| amount.to_string().starts_with("until"));
    if until && by == MethodArg::Random {
        return refuse(
            "--amount until: needs a method that ranks zeros lowest, which --method random does not",
        );
    }
    if args.of == OfArg::Nonzero && (args.pattern, by) != (Pattern::Unstructured, MethodArg::L1) {
        return refuse("--of nonzero needs --pattern unstructured and --method l1, which ranks zeros lowest");
    }
    Ok(())
}

fn refuse<T>(text: &str) -> Result<T, Failure> {
    Err(Failure::options(text))
}

/// The method: a pattern, and what ranks it.
fn method(args: &PruneArgs) -> Result<Box<dyn PruningMethod>, Failure> {
    let by = args.method.unwrap_or(match args.pattern {
        Pattern::Unstructured | Pattern::Groups { .. } => MethodArg::L1,
        Pattern::Channel | Pattern::Block { .. } => MethodArg::Ln,
    });
    match (args.pattern, by) {
        (Pattern::Unstructured, MethodArg::Ln) => {
            return refuse(
                "--method ln ranks channels and blocks (--pattern channel, block:HxW); for single entries use l1 or random",
            );
        }
        (Pattern::Channel, MethodArg::L1) => {
            return refuse(
                "--method l1 ranks single entries; for channels use ln (with --norm 1 for the sum of absolute values) \
                 or random",
            );
        }
        (Pattern::Groups { .. }, MethodArg::Ln | MethodArg::Random) => {
            return refuse(
                "N:M keeps the entries of largest absolute value: it can be combined with --method l1 only",
            );
        }
        (Pattern::Block { .. }, MethodArg::L1 | MethodArg::Random) => {
            return refuse(
                "blocks are ranked by --method ln only, with --norm 2 (mean square) or --norm inf (largest absolute value)",
            );
        }
        _ => {}
    }
    check_zeros(args, by)?;
    if args.norm.is_some() && by != MethodArg::Ln {
        return refuse("--norm needs --method ln, which ranks channels and blocks");
    }
    if args.seed.is_some() && by != MethodArg::Random {
        return refuse("--seed needs --method random");
    }
    let dim = match (args.pattern, args.dim) {
        (Pattern::Channel, dim) => dim.unwrap_or(0),
        (Pattern::Groups { .. }, dim) => dim.unwrap_or(1),
        (_, None) => 0,
        (_, Some(_)) => {
            return refuse(
                "--dim needs --pattern channel or N:M; single entries have no dimension, and blocks are tiles \
                 of the last two",
            );
        }
    };
    if let Pattern::Groups { keep, of } = args.pattern {
        if args.amount.is_some() {
            return refuse("N:M takes no --amount: the pattern says how much is pruned");
        }
        return Ok(Box::new(NmStructured::new(keep, of, dim)?));
    }
    if args.skip_indivisible {
        return refuse("--skip-indivisible needs --pattern N:M");
    }
    let Some(amount) = args.amount else {
        return refuse("--amount is needed: a fraction (0.5), a percentage (50%) or a count (12)");
    };
    let norm = args.norm.unwrap_or(Norm::L2);
    Ok(match (args.pattern, by) {
        (_, MethodArg::Random) => at_random(args, amount, dim)?,
        (Pattern::Channel, _) => Box::new(LnStructured::new(amount, norm, dim)?),
        (Pattern::Block { height, width }, _) => {
            Box::new(BlockStructured::new(amount, height, width, block_rank(norm)?)?)
        }
        _ => Box::new(L1Unstructured::new(amount)?),
    })
}

fn at_random(args: &PruneArgs, amount: Amount, dim: isize) -> Result<Box<dyn PruningMethod>, Failure> {
    let Some(seed) = args.seed else {
        return refuse("--method random needs --seed, a number, so that the same masks can be made again");
    };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Ok(match args.pattern {
        Pattern::Channel => Box::new(RandomStructured::new(amount, dim, &mut rng)?),
        _ => Box::new(RandomUnstructured::new(amount, &mut rng)?),
    })
}

fn block_rank(norm: Norm) -> Result<BlockRank, Failure> {
    match norm {
        Norm::L2 | Norm::FROBENIUS => Ok(BlockRank::MeanSquare),
        Norm::INFINITY => Ok(BlockRank::MaxAbs),
        _ => refuse("blocks are ranked by --norm 2 (mean square) or --norm inf (largest absolute value)"),
    }
}

fn scope(args: &PruneArgs) -> Result<Scope, Failure> {
    match (args.scope, args.pattern) {
        (Some(_), Pattern::Groups { .. }) => refuse("N:M takes no --scope: each group is pruned by itself"),
        (Some(ScopeArg::Global), Pattern::Channel | Pattern::Block { .. }) => {
            refuse("--scope global ranks single entries: it needs --pattern unstructured")
        }
        (Some(ScopeArg::Global), _) => Ok(Scope::Global),
        (Some(ScopeArg::Local) | None, _) => Ok(Scope::Local),
    }
}

fn options(args: &PruneArgs, scope: Scope) -> Result<GlobalOptions<'static>, Failure> {
    let mut options = GlobalOptions::new().normalize(args.normalize);
    if let Some(cap) = args.max_sparsity {
        options = options.max_sparsity(cap)?;
    }
    match scope {
        Scope::Local if args.max_sparsity.is_some() => {
            refuse("--max-sparsity needs --scope global, where tensors share one amount")
        }
        Scope::Local if args.normalize => {
            refuse("--normalize needs --scope global, where tensors are ranked together")
        }
        Scope::Global if args.normalize && args.method == Some(MethodArg::Random) => {
            refuse("--normalize needs --method l1; random keys have no norm")
        }
        _ => Ok(options),
    }
}
