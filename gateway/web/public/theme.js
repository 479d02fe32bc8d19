// Before the first paint: the theme that was chosen in this browser, so that nothing flashes.
const theme = localStorage.getItem("berth.theme");
if (theme) document.documentElement.dataset.theme = theme;
