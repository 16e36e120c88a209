"""What is done with recordings besides replaying them: `cloudctl recording info | cut | merge | export`."""
