(() => {
  const every = 1000 * document.documentElement.dataset.refresh;
  if (!every) return;
  const again = () => {
    const typing = document.activeElement && document.activeElement.matches("input, button");
    const reading = document.querySelector("details[open]");
    if (document.hidden || typing || reading) setTimeout(again, 1000);
    else location.reload();
  };
  setTimeout(again, every);
})();
