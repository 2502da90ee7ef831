"""What a notebook shows of a cluster, alive: four views, each with three faces.

    panel        `Panel`: controls and a picture in the browser (with panel.js and panel.css)
    stage        which views are open in this kernel, and what ends them
    view         `View`: widget, HTML and text; ends in a static frame
    background   the thread of a live view, and its pace

    cluster_map  nodes, Pods, Services and traffic   (map_state, map_layout, map_svg, map_words,
                 traffic: pure)
    autoscaling  the house figure with a load to change while it runs   (words: pure)
    what_if      sliders, and the simulator's figure   (knobs: pure; runs: the newest wins)
    scheduling   where a Pod would go if it requested more

Everything shown can be asked for with kubectl, but for the load, which only its sender knows.
"""
