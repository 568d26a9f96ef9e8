//! Weights with several uses. Each use gets a name of its own, so that what is found out about one says nothing about the
//! others: exporters write equal weights once, and layers that have equal constants are not coupled by that.

use std::collections::{HashMap, HashSet};

use crate::graph::Graph;

/// A weight that several nodes use, by its own name or by the names of copies that `Identity` nodes make.
pub struct Shared<'a> {
    /// The name of the weight.
    pub name: &'a str,
    /// What uses it, in the order of nodes.
    pub uses: Vec<Use<'a>>,
    /// Its copies, each after those that it is made of, with the numbers of their nodes.
    pub copies: Vec<(&'a str, usize)>,
    /// Its names that outputs of the graph are, or that something else reads than uses and copies.
    pub read: HashSet<&'a str>,
}

/// A node that uses a shared weight.
pub struct Use<'a> {
    /// The name of this use, which the graph has in the place of the other.
    pub alias: &'a str,
    /// The name in the file.
    pub name: &'a str,
    /// The number of the node.
    pub node: usize,
}

/// The weight that each name of a copy stands for: itself, if it is none.
struct Originals<'a>(HashMap<&'a str, &'a str>);

impl<'a> Originals<'a> {
    fn of(graph: &Graph<'a>) -> Self {
        let mut originals = Originals(HashMap::new());
        for (number, node) in graph.nodes.iter().enumerate() {
            if let ("Identity", [input], [output]) = (node.op, &node.inputs[..], &node.outputs[..])
                && graph.copies.get(output) == Some(&number)
            {
                originals.0.insert(output, originals.get(input));
            }
        }
        originals
    }

    fn get(&self, name: &'a str) -> &'a str {
        self.0.get(name).copied().unwrap_or(name)
    }
}

/// The names of weights that a node uses, each once; none of a node whose output is known already.
fn weights<'g, 'a>(graph: &'g Graph<'a>, number: usize) -> impl Iterator<Item = &'a str> + 'g {
    let node = &graph.nodes[number];
    let made = node
        .outputs
        .first()
        .is_some_and(|name| graph.constants.contains_key(name));
    let inputs = node.inputs.iter().enumerate().filter(move |_| !made);
    let first = move |(place, name): &(usize, &&str)| !node.inputs[..*place].contains(name);
    let names = inputs.filter(first).map(|(_, name)| *name);
    names.filter(|name| {
        let constant = graph
            .constants
            .get(name)
            .filter(|_| graph.initializers.contains(name));
        constant.is_some_and(|own| {
            own.dtype.is_float() && own.quantization.is_none() && !own.dims.is_empty() && own.len() > 0
        })
    })
}

/// Names for all uses of weights that have several, or that are outputs, too: as many for each weight as it has uses. `inputs` are the names of all
/// inputs of the graph, which have the last word on weights of these names.
pub fn names_of_uses<'a>(graph: &Graph<'a>, inputs: &HashSet<&str>) -> Vec<(&'a str, Vec<String>)> {
    let originals = Originals::of(graph);
    let (mut order, mut counts) = (Vec::new(), HashMap::new());
    for number in 0..graph.nodes.len() {
        for name in weights(graph, number).map(|name| originals.get(name)) {
            let count = counts.entry(name).or_insert(0_usize);
            if *count == 0 {
                order.push(name);
            }
            *count += 1;
        }
    }
    // An output of the graph is what it was, whatever its use becomes.
    let given: HashSet<&str> = graph.outputs.iter().map(|name| originals.get(name)).collect();
    order.retain(|name| (counts[name] > 1 || given.contains(name)) && !inputs.contains(name));
    if order.is_empty() {
        return Vec::new();
    }
    let outputs = graph.nodes.iter().flat_map(|node| &node.outputs).copied();
    let mut taken: HashSet<String> = outputs
        .chain(graph.constants.keys().copied())
        .map(str::to_owned)
        .collect();
    taken.extend(graph.inputs.iter().map(|input| input.name.to_owned()));
    let mut names = |name: &'a str| {
        let free = (1_usize..)
            .map(|number| format!("{name}_{number}"))
            .filter(|name| taken.insert(name.clone()));
        (name, free.take(counts[name]).collect())
    };
    order.into_iter().map(&mut names).collect()
}

/// Gives each use of these weights its name.
pub fn name_uses<'a>(graph: &mut Graph<'a>, names: &'a [(String, Vec<String>)]) {
    if names.is_empty() {
        return;
    }
    let originals = Originals::of(graph);
    let mut free: HashMap<&str, std::slice::Iter<'a, String>> = names
        .iter()
        .map(|(name, aliases)| (&**name, aliases.iter()))
        .collect();
    let mut shared: HashMap<&str, Shared<'a>> = HashMap::new();
    for number in 0..graph.nodes.len() {
        let used: Vec<&'a str> = weights(graph, number).collect();
        for name in used {
            let original = originals.get(name);
            let Some(alias) = free.get_mut(original).and_then(Iterator::next) else {
                continue;
            };
            let new = || Shared {
                name: original,
                uses: Vec::new(),
                copies: Vec::new(),
                read: HashSet::new(),
            };
            let uses = &mut shared.entry(original).or_insert_with(new).uses;
            // The same node twice, by the names of two copies, is one use by each of them.
            uses.push(Use {
                alias,
                name,
                node: number,
            });
            let inputs = graph.nodes[number].inputs.iter_mut();
            inputs
                .filter(|input| **input == name)
                .for_each(|input| *input = alias);
            let constant = graph.constants[name].clone().named(alias);
            graph.constants.insert(alias, constant);
            graph.initializers.insert(alias);
            graph.aliases.insert(alias, original);
        }
    }
    for (number, node) in graph.nodes.iter().enumerate() {
        let copy = node
            .outputs
            .first()
            .filter(|output| originals.0.contains_key(*output));
        if let Some(output) = copy
            && let Some(own) = shared.get_mut(originals.get(output))
        {
            own.copies.push((output, number));
            continue;
        }
        for name in &node.inputs {
            if let Some(own) = shared.get_mut(originals.get(name)) {
                own.read.insert(name);
            }
        }
    }
    for name in &graph.outputs {
        if let Some(own) = shared.get_mut(originals.get(name)) {
            own.read.insert(name);
        }
    }
    let in_order = names.iter().filter_map(|(name, _)| shared.remove(&**name));
    graph.shared = in_order.collect();
}
