"""From any network to a graph of its modules and the chain of its blocks.

network ──► a copy, in eval mode ──► chain.py: closed modules are opened, the costliest first,
                                         │       until no closed one may hold a chain with more MACs
                 ┌───────────────────────┴────────────────────────┐
            trace.py, by proxies                     record.py, on a fake image, where
            a graph for every size                   that is impossible: for one size
                 └───────────────────────┬────────────────────────┘
             calls.py: the calls of modules, caught in this network alone and run once
                                         │
             family.py: calls of like modules in a row are the blocks
                                         ▼
                        head ──► block ──► block ──► ... ──► tail        a `Chain`
"""
