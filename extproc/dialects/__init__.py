"""How each endpoint's answers say what was used, and how one of them is ended early. One file for each shape of answer."""
