"""The closed-loop study: what advice changes, against none and against SUMO's own GLOSA."""
