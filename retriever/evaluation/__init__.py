"""Quality and agreement of runs: measures, significance, Pareto front, what to judge first.

Intervals are those of the paired percentile bootstrap, p-values those of the paired randomization
test, corrected by Holm over the systems of one measure, and not over measures. Resampling is
seeded; neither the order of the queries nor the other systems change a system's numbers.
"""
