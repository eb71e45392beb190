"""Papers that recipes cite."""

GOODFELLOW = "Goodfellow et al. 2014, arXiv 1406.2661"
RADFORD = "Radford, Metz & Chintala 2015, arXiv 1511.06434"
KINGMA = "Kingma & Welling 2013, arXiv 1312.6114"
SOHN = "Sohn, Lee & Yan 2015, NeurIPS 28"
IWAE = "Burda et al. 2015, arXiv 1509.00519v2"
GLOW = "Kingma & Dhariwal 2018, arXiv 1807.03039"
REALNVP = "Dinh, Sohl-Dickstein & Bengio 2017, arXiv 1605.08803"
