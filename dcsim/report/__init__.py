"""What people look at: tables, JSON documents and plots of finished runs."""

PLOT_FORMATS = (".png", ".svg", ".pdf")
