"""From a chain of blocks to two networks.

```text
            graph.chain.find_chain(model)
                       |
                     Chain           head, blocks, tail; a node each
                       |
   crossing.interface  |  windows.halo_of   reach.reaches
   what crosses, how   |  how wide          how far each block looks
   it lies in memory   |  windows are       (anatomy.describe prints it)
                       v
                 split.split_pretrained / split_paper
               /                                    \\
   graphs.base_net  (sized.* : a graph     graphs.refine_graph
   BaseGraph         for each size)         the rest, on windows
               \\                                    /
                build.build -> MGANet -> verify.verify
                                          beside the original

   original.original_of   the other way: the original out of the two sides
```
"""
