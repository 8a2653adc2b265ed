"""Reports on rehearsals: JSON, JUnit's XML and pages of HTML, made of results alone."""
