"""R4 RESTful interactions, one file each (R4 http.html)."""
