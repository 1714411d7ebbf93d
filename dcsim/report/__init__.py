"""What people look at: tables, JSON documents and plots of finished runs."""

PLOT_FORMATS = (".png", ".svg", ".pdf")
RUN, SOC, BUDGET = "run.json", "soc.yaml", "budget.yaml"  # files of a run's folder
