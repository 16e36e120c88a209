"""What every part of the simulation uses: terminal output, worker processes, scores, network geometry for plots."""
